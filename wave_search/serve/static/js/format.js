/** Texts for people: times, sizes, z, modalities. */

/** Seconds as m:ss or h:mm:ss, with `digits` decimals. */
export function time(seconds, digits = 0) {
  if (seconds == null || !Number.isFinite(seconds)) return "";
  const unit = 10 ** digits;
  const rounded = Math.round(seconds * unit) / unit;
  const hours = Math.floor(rounded / 3600), minutes = Math.floor((rounded % 3600) / 60);
  const rest = (rounded % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** Read "75", "1:15" or "1:02:03.5" as seconds; null if it is none of them. */
export function seconds(text) {
  if (!/^\s*(\d+:){0,2}\d+([.,]\d*)?\s*$/.test(text)) return null;
  return text.trim().replace(",", ".").split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
}

export function range(start, stop) {
  if (start == null || stop == null) return "";
  const digits = stop - start < 2 ? 1 : 0;
  return `${time(start, digits)}–${time(stop, digits)}`;
}

/** A duration in words that a screen reader can say. */
export function spokenTime(value) {
  const minutes = Math.floor(value / 60), rest = (value % 60).toFixed(1).replace(/\.0$/, "");
  return minutes ? `${minutes} min ${rest} s` : `${rest} s`;
}

export function size(bytes) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; bytes >= 1024 && unit < units.length - 1; unit += 1) bytes /= 1024;
  return `${unit && bytes < 100 ? bytes.toFixed(1) : Math.round(bytes)} ${units[unit]}`;
}

/** As 29.97, not 29.97002997. */
export const framesPerSecond = (fps) => String(Number(fps.toFixed(3)));

export const kilohertz = (hertz) => `${(hertz / 1000).toLocaleString("en")} kHz`;

export function count(number, noun, plural = `${noun}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? noun : plural}`;
}

/** What a z means. The thresholds are those of docs/design/scores.md. */
export function verdict(z) {
  if (z >= 6) return "very clear";
  if (z >= 5) return "clear";
  if (z >= 4) return "likely";
  if (z >= 3) return "possible";
  return "weak";
}

/** z of 0 to 8 as a share of a bar's length. */
export const share = (z) => Math.max(0, Math.min(1, z / 8));

/** What of a file was found. */
export const WHY = { video: "Seen", audio: "Heard", av: "Both", image: "Picture", text: "Text" };

const LIST = new Intl.ListFormat("en");

/** Why a hit was found, as "Seen and heard"; of a file that nothing was asked about, its kind. */
export function why(hit) {
  if (hit.z == null) return KINDS[hit.kind];
  const both = hit.matched.includes("av");
  const found = ["video", "audio", "image", "text"].filter((modality, index) =>
    hit.matched.includes(modality) || (both && index < 2));
  const [first, ...others] = found.map((modality) => WHY[modality]);
  return LIST.format([first, ...others.map((word) => word.toLowerCase())]);
}

export const KINDS = { video: "Video", audio: "Sound", image: "Picture", text: "Text" };

export const TARGETS = {
  any: "Everything", video: "Seen", audio: "Heard", av: "Both", image: "Pictures", text: "Texts",
};
