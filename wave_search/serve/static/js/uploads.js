/** Files that are part of a query. They stay in this tab, and are sent with each search that they belong to. */

import { newTerm } from "./query.js";

const files = new Map();
let last = 0;

export const MAX_BYTES = 256 * 2 ** 20;

/** Keep a file and return the term for it. Throws a text that names the remedy. */
export function uploadTerm(file) {
  const kind = file.type.split("/")[0];
  if (file.size > MAX_BYTES) {
    throw new Error(`${file.name} is larger than 256 MiB. Cut out the part that matters, and drop that.`);
  }
  if (!file.size) throw new Error(`${file.name} is empty or a folder. Drop a file.`);
  last += 1;
  files.set(last, file);
  const modality = kind === "audio" || kind === "image" ? kind : undefined;
  return newTerm("upload", { key: last, name: file.name, ...(modality && { modality }) });
}

export const uploadOf = (term) => files.get(term.key);

/** Whether a file can be taken as several modalities. */
export const isVideo = (term) => uploadOf(term)?.type.startsWith("video/") ?? false;
