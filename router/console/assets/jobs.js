// Jobs: actions in the background, such as a rebuild.

import { events, get } from './api.js';

// finished waits for the end of a job, and returns the job.
export function finished(job, signal) {
  return new Promise((resolve, reject) => {
    const stop = new AbortController();
    const until = AbortSignal.any([signal, stop.signal]);
    signal.addEventListener('abort', () => reject(new DOMException('left', 'AbortError')), { once: true });
    const done = (j) => {
      if (!j || j.state === 'running') return;
      stop.abort();
      resolve(j);
    };
    events('/api/read-models/events', {
      signal: until,
      on: { jobs: (jobs) => done(jobs.find((j) => j.id === job.id)) },
      // A hidden tab has no stream: the end is asked for when the tab comes back.
      status: (s) => { if (s === 'open') get(`/api/jobs/${job.id}`, { signal: until }).then(done, () => {}); },
    });
  });
}
