/** A run of `index`, followed live: its progress, what it skips, its report, and what can be done to it. */

import { html, useCallback, useEffect, useMemo, useRef, useState } from "../vendor/preact-htm.js";
import { call } from "./api.js";
import { announce } from "./announcer.js";
import { count } from "./format.js";
import { SkippedGroups, grouped } from "./index-skipped.js";

const STATES = {
  running: "Indexing", paused: "Paused", cancelling: "Ending", done: "Done", cancelled: "Cancelled", failed: "Failed",
};
const STAGES = { scan: "Looking for files", embed: "", shards: "Building the search structures", done: "" };
const FINAL = ["done", "cancelled", "failed"];
const RETRY_MS = 2000;
const post = (path, body) => call(path, {
  method: "POST", ...(body && { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
});
const isActive = (job) => job !== null && !FINAL.includes(job.state);

/** The newest run of the server, and functions that start and change one. `ended` is called when it has ended. */
export function useRun(ended) {
  const [job, setJob] = useState(null);
  const [skipped, setSkipped] = useState([]);
  const [lost, setLost] = useState(false);
  const [fault, setFault] = useState(null);
  const show = useCallback((found) => {
    setJob((old) => {
      if (old?.id !== found?.id) setSkipped([]);
      return found;
    });
  }, []);
  useEffect(() => {
    call("/index/jobs").then(({ jobs }) => show(jobs[0] ?? null), setFault);
  }, [show]);

  const active = isActive(job), id = job?.id ?? null;
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    if (id === null) return undefined;
    let timer = null;
    const source = new EventSource(`/api/index/jobs/${id}/events`);
    const on = (kind, take) => source.addEventListener(kind, (event) => take(JSON.parse(event.data)));
    let wasActive = active;
    on("job", (found) => {
      setJob(found);
      if (isActive(found)) wasActive = true;
      else {
        source.close();
        if (wasActive) ended();
      }
    });
    on("progress", (progress) => setJob((old) => old && { ...old, progress }));
    on("skipped", (file) => setSkipped((old) => [...old.filter(({ path }) => path !== file.path), file]));
    source.onopen = () => setLost(false);
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) setLost(wasActive); // it tries again by itself
      else timer = setTimeout(again, RETRY_MS);
    };
    // The server does not know the run any more, as after a restart, or has too many listeners.
    const again = () => call("/index/jobs").then(({ jobs }) => {
      setLost(false);
      const known = jobs.find((each) => each.id === id);
      if (known) {
        setJob(known);
        if (isActive(known)) setAttempt((old) => old + 1);
      } else if (wasActive) {
        announce("The server was restarted, which has ended the run. What was complete is in the index.", { shown: true });
        show(jobs[0] ?? null);
        ended();
      }
    }, () => {
      timer = setTimeout(again, RETRY_MS);
    });
    return () => {
      clearTimeout(timer);
      source.close();
    };
  }, [id, attempt, ended]);
  useSpoken(job);

  const attempted = (request, answered) => {
    setFault(null);
    request.then(answered, setFault);
  };
  return {
    job, active, skipped, lost, fault,
    start: (wanted) => attempted(post("/index/jobs", wanted), show),
    // The new state comes as an event: this answer may come after that, and be older.
    change: (what) => attempted(post(`/index/jobs/${id}/${what}`), () => {}),
  };
}

/** Announce changes of the state, and each quarter of the way, but not every event. */
function useSpoken(job) {
  const before = useRef(null);
  const { state, progress } = job ?? {};
  const quarter = state === "running" && progress ? Math.floor(4 * shareOf(progress)) : 0;
  useEffect(() => {
    const old = before.current;
    before.current = job && { id: job.id, state, quarter };
    if (!old || !job) return;
    if (old.id !== job.id || old.state !== state) announce(`${STATES[state]}. ${summary(job)}`);
    else if (quarter > old.quarter && quarter < 4) announce(`${quarter * 25} percent. ${left(progress)}`);
  }, [job?.id, state, quarter]);
}

export function Run({ run }) {
  const { job, active, skipped, lost, fault } = run;
  const groups = useMemo(() => grouped(skipped), [skipped]);
  const { progress } = job ?? {};
  return html`
    ${fault && html`<p class="notice" role="alert">${fault.text}</p>`}
    ${job && html`<section class="run" data-state=${job.state} aria-labelledby="run-title">
      <div class="run-head"><h3 id="run-title">${STATES[job.state]}</h3>
        <span class="run-paths">${job.paths.join(", ")}</span>
        ${active && html`<div class="run-tools">
          ${job.state === "paused"
            ? html`<button type="button" class="button" onClick=${() => run.change("resume")}>Resume</button>`
            : html`<button type="button" class="button" disabled=${job.state === "cancelling"}
              onClick=${() => run.change("pause")}>Pause</button>`}
          <button type="button" class="button" disabled=${job.state === "cancelling"}
            onClick=${() => run.change("cancel")}>Cancel</button>
        </div>`}
      </div>
      ${active && html`
        <progress class="run-bar" aria-label="Files done" max="1" value=${progress ? shareOf(progress) : 0}></progress>
        <p class="run-numbers">${progress ? numbers(progress) : "Starting …"}
          ${lost && html` <strong>The server does not answer. Trying again …</strong>`}</p>
        <p class="run-current muted">${current(progress)}</p>`}
      ${!active && html`<p>${summary(job)}</p>`}
      ${job.report?.unreachable.map((folder) => html`<p key=${folder} class="notice">${folder} is missing or empty, as if
        its disk was not mounted. Its files stay in the index.</p>`)}
      ${job.report?.alerts.map(({ search, found, delivered, failure }) => html`<p key=${search}
        class=${failure && "notice"}>Alert “${search}”: ${count(found, "new match", "new matches")},
        ${" "}${delivered.toLocaleString("en")} delivered.${failure && ` ${failure}`}</p>`)}
      ${job.state === "failed" && html`<p class="notice">${job.error.message.replace(/\.?$/, ".")} ${job.error.remedy}</p>`}
      ${groups.length > 0 && html`<h4>Not used, or only in part</h4><${SkippedGroups} groups=${groups} />`}
    </section>`}`;
}

const shareOf = (progress) =>
  progress.files_total ? Math.min(1, (progress.files_done + progress.files_begun) / progress.files_total) : 0;

function numbers(progress) {
  const { files_done: done, files_total: total, files_per_s: rate, files_skipped: skipped, stage } = progress;
  return [
    STAGES[stage],
    total && `${done.toLocaleString("en")} of ${count(total, "file")}`,
    rate && `${rate < 10 ? rate.toFixed(1) : Math.round(rate)} files/s`,
    left(progress),
    skipped && `${skipped.toLocaleString("en")} not used`,
  ].filter(Boolean).join(" · ");
}

function left({ left_s: seconds }) {
  if (seconds === null) return "";
  if (seconds < 60) return "less than a minute left";
  const minutes = Math.round(seconds / 60);
  return `about ${minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`} left`;
}

function current(progress) {
  if (!progress?.current) return "\u00a0";
  const { current: path, current_segments: done, current_segments_total: total } = progress;
  return total > 1 ? `${path} (${done} of ${count(total, "segment")})` : path;
}

/** What a run has done, as a sentence. */
function summary({ state, report, error }) {
  if (state === "failed") return error.message;
  if (!report) return "";
  const { indexed, reused, unchanged, removed, skipped } = report;
  const parts = [
    `${count(indexed, "file")} indexed`,
    reused && `${reused.toLocaleString("en")} moved or copied`,
    unchanged && `${unchanged.toLocaleString("en")} unchanged`,
    removed && `${removed.toLocaleString("en")} removed`,
    skipped && `${skipped.toLocaleString("en")} not used, or only in part`,
  ].filter(Boolean).join(", ");
  return state === "cancelled" ? `${parts}. The next run continues with the others.` : `${parts}.`;
}
