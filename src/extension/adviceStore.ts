// The advice last given on each dataset, kept for the workspace, so that the panel still has it after a reload.
import * as v from 'valibot';
import type * as vscode from 'vscode';
import { adviceSchema, type Advice } from '../protocol/advice.js';

const KEY = 'thaw.advice';
/** Datasets whose advice is kept: about 4 kB each. */
const MOST_KEPT = 20;

export class AdviceStore {
  constructor(private readonly memory: vscode.Memento) {}

  /** Advice on a dataset folder, by its absolute path. */
  get(folder: string): Advice | undefined {
    return this.#all().find((advice) => advice.dataset.path === folder);
  }

  async keep(advice: Advice): Promise<void> {
    await this.memory.update(KEY, [advice, ...this.#all().filter(({ dataset }) => dataset.path !== advice.dataset.path)].slice(0, MOST_KEPT));
  }

  /** What another version of Thaw kept in another shape counts as not there. */
  #all(): Advice[] {
    const stored = this.memory.get<unknown>(KEY);
    return Array.isArray(stored) ? stored.flatMap((entry) => {
      const parsed = v.safeParse(adviceSchema, entry);
      return parsed.success ? [parsed.output] : [];
    }) : [];
  }
}
