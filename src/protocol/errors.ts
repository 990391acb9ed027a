// Errors that a person can act on. Everything else is a defect and keeps its stack.

/** What `thaw` returns to the shell. */
export const EXIT = { done: 0, failed: 1, badInput: 2, engineNotReady: 3, stopped: 130 } as const;

/** `input`: arguments or dataset (exit 2); `engine`: TensorFlow, weights, device (exit 3); `run`: anything later (exit 1). */
export type ErrorKind = 'input' | 'engine' | 'run';

/** An error with a stable code, a sentence that says what happened and where, and a sentence that says what to do next. */
export class ThawError extends Error {
  override readonly name = 'ThawError';

  constructor(
    readonly kind: ErrorKind,
    /** Kebab case, stable: `too-few-classes`. */
    readonly code: string,
    message: string,
    /** What to do next, one sentence. */
    readonly next: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}
