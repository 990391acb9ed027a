// Types of l10n.mjs, for the tests.
export function messagesOf(file: string, source: string): string[];
export function makeBundle(root?: string): { readonly bundle: string; readonly templates: string };
export function differences(made: string, committed: string): string[];
