// A small typed way to build the page. Text only ever goes through text nodes, so a name from disk is never read as HTML, and sizes go through
// CSS variables set by the CSSOM, which the strict CSP allows.
import { ICONS, type IconName } from './icons.js';

/** Attributes; a key that begins with `--` is a CSS variable. `undefined` and `false` leave the attribute out, `true` sets it empty. */
export type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;
export type Child = Node | string | undefined | false;

function setAttributes(element: HTMLElement | SVGElement, attributes: Attributes): void {
  for (const [key, value] of Object.entries(attributes)) {
    if (key === 'style' || key.startsWith('on')) throw new Error(`The attribute ${key} is not allowed in the panel`);
    if (value === undefined || value === false) continue;
    if (key.startsWith('--')) element.style.setProperty(key, String(value));
    else element.setAttribute(key, value === true ? '' : String(value));
  }
}

const present = (child: Child): child is Node | string => child !== undefined && child !== false;

export function h<Tag extends keyof HTMLElementTagNameMap>(tag: Tag, attributes: Attributes = {}, ...children: readonly Child[]): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  setAttributes(element, attributes);
  element.append(...children.filter(present));
  return element;
}

export function svg<Tag extends keyof SVGElementTagNameMap>(tag: Tag, attributes: Attributes = {}, ...children: readonly Child[]): SVGElementTagNameMap[Tag] {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  setAttributes(element, attributes);
  element.append(...children.filter(present));
  return element;
}

export type Tone = 'run' | 'good' | 'warn' | 'bad' | 'quiet';

export function icon(name: IconName, tone?: Tone): SVGSVGElement {
  const [viewBox, ...paths] = ICONS[name];
  const classes = ['icon', tone && `tone-${tone}`, name === 'loading' && 'spin'].filter(Boolean).join(' ');
  return svg('svg', { class: classes, viewBox, 'aria-hidden': 'true' }, ...paths.map((d) => svg('path', { d })));
}

export interface ButtonOptions {
  readonly look?: 'primary' | 'secondary';
  readonly glyph?: IconName;
  readonly onClick: () => void;
  readonly action?: string;
}

/** A double click counts once: what the first has changed may stand under the second, Stop where Train Again was. */
export function button(label: string, { look = 'secondary', glyph, onClick, action }: ButtonOptions): HTMLButtonElement {
  const element = h('button', { type: 'button', class: `button ${look}`, 'data-action': action }, glyph && icon(glyph), h('span', {}, label));
  element.addEventListener('click', ({ detail: clicks }) => { if (clicks <= 1) onClick(); });
  return element;
}

/** Text for screen readers only. */
export function spoken(text: string): HTMLSpanElement {
  return h('span', { class: 'sr' }, text);
}

/** Changes the text only where it differs, so that a live region is not read out again. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Replaces the children only when `key` differs from the last call's: live updates leave focus and selection alone. */
export function setChildren(element: HTMLElement, key: string, children: () => readonly Child[]): void {
  if (element.dataset['key'] === key) return;
  element.dataset['key'] = key;
  element.replaceChildren(...children().filter(present));
}
