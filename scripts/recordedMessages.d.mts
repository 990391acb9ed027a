// Types of recordedMessages.mjs, for the tests.
export function recordedTemplates(sources: ReadonlyMap<string, string>): { readonly sentences: string[]; readonly facts: string[] };
