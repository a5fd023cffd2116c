/** Files that could not be used, by cause, each group with its remedy. */

import { html } from "../vendor/preact-htm.js";
import { count } from "./format.js";

/** @param groups is [{cause, remedy, count, files: [{path, cause}]}]. */
export function SkippedGroups({ groups }) {
  return html`<ul class="skipped">${groups.map((group) => html`<li key=${keyOf(group)}><details>
    <summary><span class="skipped-cause">${group.cause}</span>
      <span class="muted">${count(group.count, "file")}</span></summary>
    <p class="muted">${group.remedy}</p>
    <ul class="skipped-files">${group.files.map((file) => html`<li key=${file.path}>${file.path}
      ${file.cause !== group.cause && html`<small>${file.cause}</small>`}</li>`)}</ul>
    ${group.count > group.files.length && html`<p class="muted">And ${group.count - group.files.length} others; all are
      listed by <code>wave-search list --skipped</code>.</p>`}
  </details></li>`)}</ul>`;
}

/** Put files into groups, the largest first. Numbers, such as durations, make no difference. */
export function grouped(files) {
  const groups = new Map();
  for (const file of files) {
    const key = keyOf(file), group = groups.get(key) ?? { cause: file.cause, remedy: file.remedy, count: 0, files: [] };
    groups.set(key, { ...group, count: group.count + 1, files: [...group.files, file] });
  }
  return [...groups.values()].sort((one, other) => other.count - one.count);
}

const keyOf = ({ cause, remedy }) => `${cause.replace(/\d+([.,:]\d+)*/g, "")}\n${remedy}`;
