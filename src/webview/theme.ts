// The theme as the charts need it: VS Code sets variables and a body class, panel.css adds the palette; a canvas has to be told.

import type { Strategy } from '../protocol/run.js';

export interface Palette {
  readonly foreground: string;
  readonly background: string;
  readonly muted: string;
  readonly grid: string;
  readonly axis: string;
  readonly focus: string;
  readonly freeze: string;
  readonly finetune: string;
  readonly scratch: string;
  readonly train: string;
  readonly fontFamily: string;
  readonly kind: 'dark' | 'light' | 'high-contrast';
}

export type LineTone = Strategy | 'train';

export function readPalette(): Palette {
  const style = getComputedStyle(document.body);
  const read = (variable: string) => style.getPropertyValue(variable).trim();
  const classes = document.body.classList;
  const highContrast = classes.contains('vscode-high-contrast') || classes.contains('vscode-high-contrast-light');
  return {
    foreground: read('--vscode-foreground'),
    background: read('--vscode-editor-background'),
    muted: read('--th-muted'),
    grid: read('--th-grid'),
    axis: read('--th-axis'),
    focus: read('--vscode-focusBorder'),
    freeze: read('--th-freeze'),
    finetune: read('--th-finetune'),
    scratch: read('--th-scratch'),
    train: read('--th-train'),
    fontFamily: read('--vscode-font-family') || 'sans-serif',
    kind: highContrast ? 'high-contrast' : classes.contains('vscode-light') ? 'light' : 'dark',
  };
}

/** Calls back when VS Code switches the theme: it changes the body's class and the root's variables. */
export function watchTheme(onChange: () => void): void {
  const observer = new MutationObserver(onChange);
  observer.observe(document.body, { attributes: true, attributeFilter: ['class', 'data-vscode-theme-id'] });
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ['style', 'class'] });
}
