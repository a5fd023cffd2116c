/** Requests to the server. Each throws a Fault, with a remedy that can be shown. */

import { LOST } from "./selection.js";
import { uploadOf } from "./uploads.js";

export class Fault extends Error {
  constructor(message, remedy, status = 0) {
    super(message);
    this.remedy = remedy;
    this.status = status;
  }

  /** Cause and remedy as one text. */
  get text() {
    return `${this.message.replace(/\.?$/, ".")} ${this.remedy}`;
  }
}

const BUSY = 429;
const PATIENCE = 5;

export async function call(path, options = {}, patience = PATIENCE) {
  let response;
  try {
    response = await fetch(`/api${path}`, options);
    if (response.status === BUSY && patience) {
      await new Promise((resolve) => setTimeout(resolve, 1000 * (response.headers.get("Retry-After") ?? 1)));
      options.signal?.throwIfAborted();
      return call(path, options, patience - 1);
    }
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Fault("The server does not answer.", "Start it again with: wave-search serve");
  }
  const body = await response.json().catch(() => null);
  if (response.ok && body) return body;
  const { message, remedy } = body?.error ?? {};
  throw new Fault(message ?? `The server answered with ${response.status}.`, remedy ?? "", response.status);
}

/** Send a search: as JSON, or with the files that its terms name. */
function send(path, request, terms, signal) {
  const uploads = terms.filter((term) => term.kind === "upload");
  const missing = uploads.find((term) => !uploadOf(term));
  if (missing) {
    const cause = `${missing.name} is no longer here: files are not kept when the page is left.`;
    throw new Fault(cause, "Remove it, and drop it again.");
  }
  if (request.segments === LOST) {
    const cause = "What was selected on the map is no longer here: large selections are kept by their tab alone.";
    throw new Fault(cause, "Remove the selection, and select again.");
  }
  const json = JSON.stringify(request);
  const headers = { "Content-Type": "application/json" };
  if (!uploads.length) return call(path, { method: "POST", body: json, signal, headers });
  const body = new FormData();
  body.append("request", json);
  for (const term of uploads) body.append(`file${term.key}`, uploadOf(term), term.name);
  return call(path, { method: "POST", body, signal });
}

export const library = () => call("/library");
/** The version of the index. The server does not take this for use: it ends when it is idle. */
export const version = () => call("/health").then((health) => health.index_version);
export const search = async (request, terms, signal) => send("/search", request, terms, signal);
export const segmentsOf = (segments, signal) => call("/segments", {
  method: "POST", body: JSON.stringify({ segments }), signal, headers: { "Content-Type": "application/json" },
});
export const reveal = (segment, copy) =>
  call(`/segments/${segment}/reveal${copy == null ? "" : `?copy=${copy}`}`, { method: "POST" });

export function duplicates(asked, signal) {
  const parameters = new URLSearchParams(Object.entries(asked).filter(([, value]) => value !== ""));
  return call(`/duplicates?${parameters}`, { signal });
}

export const details = (segment, signal) => call(`/segments/${segment}`, { signal });
export const scores = async (segment, request, terms, signal) =>
  send(`/segments/${segment}/scores`, request, terms, signal);
export const mediaUrl = (segment) => `/api/segments/${segment}/media`;
export const thumbUrl = (segment, width) => `/api/segments/${segment}/thumb?width=${width}`;
export const subtitlesUrl = (segment) => `/api/segments/${segment}/subtitles.vtt`;

export function clipUrl(segment, start, stop, { saved = false } = {}) {
  return `/api/segments/${segment}/clip?start=${start.toFixed(3)}&stop=${stop.toFixed(3)}${saved ? "&download=1" : ""}`;
}

// Waveforms are decoded on the server: a few at a time, so that searches are not behind a screenful of them.
const PARALLEL = 3;
const waiting = [];
let running = 0;

export function peaks(segment, count, { whole = false, signal } = {}) {
  return new Promise((resolve, reject) => {
    const path = `/segments/${segment}/peaks?count=${count}${whole ? "&whole=true" : ""}`;
    const entry = { path, signal, resolve, reject };
    if (whole) waiting.unshift(entry); // of the file that is looked at, before those of the results behind it
    else waiting.push(entry);
    next();
  });
}

function next() {
  while (running < PARALLEL && waiting.length) {
    const { path, signal, resolve, reject } = waiting.shift();
    if (signal?.aborted) continue;
    running += 1;
    call(path, { signal }).then(resolve, reject).finally(() => {
      running -= 1;
      next();
    });
  }
}

/** Why the media of a segment cannot be had, as a Fault; null if they can. */
export async function mediaFault(segment) {
  try {
    const response = await fetch(mediaUrl(segment), { headers: { Range: "bytes=0-0" } });
    if (response.ok) return null;
    const { message, remedy } = (await response.json()).error;
    return new Fault(message, remedy, response.status);
  } catch {
    return new Fault("The server does not answer.", "Start it again with: wave-search serve");
  }
}

/** Fetch a file and hand it to the browser's downloads: {name, bytes}. No link, so that a fault can be shown here. */
export async function download(address, options) {
  const response = await fetch(address, options).catch(() => {
    throw new Fault("The server does not answer.", "Start it again with: wave-search serve");
  });
  if (!response.ok) {
    const { message, remedy } = (await response.json().catch(() => null))?.error ?? {};
    throw new Fault(message ?? `The server answered with ${response.status}.`, remedy ?? "", response.status);
  }
  const header = response.headers.get("Content-Disposition") ?? "";
  const encoded = /filename\*=utf-8''([^;]+)/i.exec(header)?.[1];
  const name = encoded ? decodeURIComponent(encoded) : /filename="([^"]+)"/.exec(header)?.[1] ?? "clip";
  const blob = await response.blob();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
  return { name, bytes: blob.size };
}
