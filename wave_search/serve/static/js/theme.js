// A classic script in the head: the choice has to be known before the first paint, or the page would flash.
const theme = localStorage.getItem("theme");
if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
