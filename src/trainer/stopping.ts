// A stop that was asked for: what a job throws where it notices, and a signal for work that would not look for it.

/** Thrown where a job notices that it was asked to stop. */
export class Stopped extends Error {}

const STOP_POLL_MS = 100;

/**
 * Work that a signal ends, also in the middle of a disk's long wait.
 * @param other ends it too
 * @throws Stopped when it was asked to stop meanwhile; what `stopRequested` throws
 */
export async function unlessStopped<T>(stopRequested: () => boolean, work: (signal: AbortSignal) => Promise<T>, other?: AbortSignal): Promise<T> {
  const stop = new AbortController();
  const end = (): void => { stop.abort(new Stopped()); };
  other?.addEventListener('abort', end, { once: true });
  const timer = setInterval(() => {
    try {
      if (stopRequested()) end();
    } catch (error) {
      stop.abort(error); // the run folder can't be written
    }
  }, STOP_POLL_MS);
  try {
    return await work(stop.signal);
  } finally {
    clearInterval(timer);
    other?.removeEventListener('abort', end);
  }
}
