/** What is searched for: read from the address of the page, written to it, and turned into a request. */

import { readSelection } from "./selection.js";

/** As what a file can be taken as a term. */
export const TAKEN_AS = { av: "sound and picture", audio: "its sound", video: "its picture" };

export const EMPTY = Object.freeze({
  text: "",
  terms: [],
  target: "any",
  minZ: null,
  kinds: [],
  folder: "",
  shortest: "",
  longest: "",
  after: "",
  before: "",
  columns: {},
  where: "",
  instruction: "",
  rerank: "",
  single: false,
  perFile: "",
  dedupe: "",
  view: "",
  colour: "",
  only: "",
  file: null,
  at: null,
});

/** What a term counts where nothing else is chosen: as on the command line. */
export const usualWeight = (avoid) => (avoid ? 0.5 : 1);

/** A term of a kind ("text", "segment", "upload"), to find and not to avoid. */
export const newTerm = (kind, fields) => ({ kind, avoid: false, weight: usualWeight(false), ...fields });

const TEXTS = {
  folder: "folder", shortest: "min", longest: "max", after: "after", before: "before", where: "where",
  instruction: "instruction", rerank: "rerank", perFile: "per-file", dedupe: "dedupe",
  view: "view", colour: "colour", only: "only",
};
const MODALITIES = ["av", "audio", "video", "image", "text"];
const COLUMN = /^column(?:-(min|max))?:(.+)$/s;

export function readAddress(search) {
  const parameters = new URLSearchParams(search);
  const query = { ...EMPTY, terms: parameters.getAll("term").map(readTerm).filter(Boolean), columns: {} };
  query.text = parameters.get("q") ?? "";
  query.target = parameters.get("target") ?? "any";
  query.minZ = number(parameters.get("z"));
  query.kinds = parameters.getAll("kind");
  query.single = parameters.has("segments");
  query.file = number(parameters.get("file"));
  query.at = number(parameters.get("at"));
  for (const [field, name] of Object.entries(TEXTS)) query[field] = parameters.get(name) ?? "";
  for (const [name, value] of parameters) {
    const match = COLUMN.exec(name);
    if (match) query.columns[match[2]] = { ...query.columns[match[2]], [match[1] ?? "value"]: value };
  }
  return query;
}

export function writeAddress(query) {
  const parameters = new URLSearchParams();
  const put = (name, value) => value !== "" && value != null && parameters.append(name, value);
  put("q", query.text);
  for (const term of query.terms) put("term", writeTerm(term));
  if (query.target !== "any") put("target", query.target);
  put("z", query.minZ);
  for (const kind of query.kinds) put("kind", kind);
  for (const [field, name] of Object.entries(TEXTS)) put(name, query[field]);
  for (const [name, condition] of Object.entries(query.columns)) {
    put(`column:${name}`, condition.value);
    put(`column-min:${name}`, condition.min);
    put(`column-max:${name}`, condition.max);
  }
  if (query.single) put("segments", 1);
  put("file", query.file);
  put("at", query.at);
  const text = parameters.toString();
  return text ? `?${text}` : "./";
}

// A term of the address: "text,not,0.5:rain", "segment,audio:17:dog.mp4", "upload,audio:1:bark.wav".
function writeTerm(term) {
  const flags = [term.kind, term.modality, term.avoid && "not", isUnusual(term) && term.weight].filter(Boolean);
  const value = term.kind === "text" ? term.text : `${term.key}:${term.name}`;
  return `${flags.join(",")}:${value}`;
}

function readTerm(written) {
  const match = /^(text|segment|upload)([^:]*):(?:(\d+):)?(.*)$/s.exec(written);
  if (!match) return null;
  const [, kind, rest, key, value] = match, flags = rest.split(",");
  const avoid = flags.includes("not"), weight = flags.map(Number).find((each) => each > 0) ?? usualWeight(avoid);
  const term = { kind, avoid, weight };
  if (kind === "text") return { ...term, text: key === undefined ? value : `${key}:${value}` };
  const modality = flags.find((flag) => MODALITIES.includes(flag));
  return key === undefined ? null : { ...term, key: Number(key), name: value, ...(modality && { modality }) };
}

export const isUnusual = (term) => term.weight !== usualWeight(term.avoid);

/** All terms, with the text that is still in the box. */
export function termsOf(query) {
  const typed = query.text.trim();
  return typed ? [...query.terms, newTerm("text", { text: typed })] : query.terms;
}

/** The body of a search, without `limit` and `offset`; upload terms name the part that carries the file. */
export function requestOf(query, library) {
  const terms = termsOf(query).map((term) => ({
    ...(term.kind === "text" && { text: term.text }),
    ...(term.kind === "segment" && { segment: term.key }),
    ...(term.kind === "upload" && { upload: `file${term.key}` }),
    ...(term.modality && { modality: term.modality }),
    weight: term.weight,
    avoid: term.avoid,
  }));
  return {
    terms,
    target: query.target,
    min_z: terms.length ? query.minZ : null,
    where: [terms.length || query.target === "any" ? "" : `modality = ${quoted(query.target)}`, whereOf(query, library)]
      .filter(Boolean).join(" AND ") || null,
    ...(query.only && { segments: readSelection(query.only) }),
    moments: !query.single,
    per_file: number(query.perFile),
    dedupe: number(query.dedupe),
    instruction: terms.length ? query.instruction.trim() || null : null,
    rerank: terms.length && query.instruction.trim() ? number(query.rerank) : null,
  };
}

/** The SQL condition that the filters make. */
export function whereOf(query, library) {
  const parts = [];
  if (query.kinds.length) parts.push(`kind IN (${query.kinds.map(quoted).join(", ")})`);
  const folder = library.folders.find(({ name }) => name === query.folder);
  if (folder) parts.push(folder.where);
  parts.push(...between("duration_s", number(query.shortest), number(query.longest)));
  parts.push(...dates("modified", query.after, query.before));
  for (const column of library.columns) {
    const condition = query.columns[column.name];
    if (condition) parts.push(...conditions(column, condition));
  }
  if (query.where.trim()) parts.push(`(${query.where.trim()})`);
  return parts.join(" AND ");
}

/** How much of each path is the same: folders are shown from the one that holds them all. */
export function rootOf(library) {
  return library.folders.length ? Math.min(...library.folders.map(({ name }) => name.lastIndexOf("/") + 1)) : 0;
}

export function filterCount(query) {
  const single = [
    query.folder, query.shortest || query.longest, query.after || query.before, query.where.trim(), query.only,
  ];
  return single.filter(Boolean).length + (query.kinds.length && 1) + Object.keys(query.columns).length;
}

/** The same query without its filters. */
export const unfiltered = {
  kinds: [], folder: "", shortest: "", longest: "", after: "", before: "", where: "", columns: {}, only: "",
};

function conditions(column, { value = "", min = "", max = "" }) {
  const name = `"${column.name.replaceAll('"', '""')}"`;
  if (column.type === "number") return between(name, number(min), number(max));
  if (column.type === "timestamp") return dates(name, min, max);
  if (!value) return [];
  if (column.type === "bool") return [`${name} = ${value === "yes"}`];
  if (column.type === "texts") return [`list_contains(${name}, ${quoted(value)})`];
  return [`contains(lower(${name}), ${quoted(value.toLowerCase())})`];
}

function between(name, min, max) {
  return [min != null && `${name} >= ${min}`, max != null && `${name} <= ${max}`].filter(Boolean);
}

/** Both days included. */
function dates(name, after, before) {
  const next = before && new Date(Date.parse(`${before}T00:00:00Z`) + 86_400_000).toISOString().slice(0, 10);
  return [after && `${name} >= ${quoted(after)}`, next && `${name} < ${quoted(next)}`].filter(Boolean);
}

/** A text as SQL. */
export const quoted = (text) => `'${text.replaceAll("'", "''")}'`;

function number(text) {
  return text == null || text === "" || !Number.isFinite(Number(text)) ? null : Number(text);
}
