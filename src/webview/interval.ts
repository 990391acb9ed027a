// A dot and its 95 % interval on a scale, in HTML; several share a scale, so that rows can be compared by eye.
import type { Strategy } from '../protocol/run.js';
import { accuracyTick, axisTicks, type Axis } from './axes.js';
import { h } from './dom.js';
import type { Mark } from './marks.js';

export interface DrawnInterval {
  readonly value: number;
  readonly interval: readonly [number, number];
  readonly axis: Axis;
  readonly tone: Strategy;
  readonly mark: Mark;
  /** A dotted line: what always saying the largest class would get. */
  readonly baseline?: number | undefined;
}

function position(value: number, { min, max }: Axis): string {
  return `${(((Math.min(Math.max(value, min), max) - min) / (max - min)) * 100).toFixed(2)}%`;
}

export function drawInterval({ value, interval, axis, tone, mark, baseline }: DrawnInterval): HTMLElement {
  const dot = ['interval-dot', `fill-${tone}`, mark.shape, mark.fill !== 'solid' && `is-${mark.fill}`].filter(Boolean).join(' ');
  return h('span', { class: 'interval', 'aria-hidden': 'true' },
    ...axisTicks(axis).map((tick) => h('span', { class: 'interval-tick', '--at': position(tick, axis) })),
    baseline !== undefined && h('span', { class: 'interval-base', '--at': position(baseline, axis) }),
    h('span', { class: `interval-bar fill-${tone}`, '--from': position(interval[0], axis), '--to': position(interval[1], axis) }),
    h('span', { class: dot, '--at': position(value, axis) }));
}

export function drawScale(axis: Axis): HTMLElement {
  return h('span', { class: 'interval scale', 'aria-hidden': 'true' },
    ...axisTicks(axis).map((tick) => h('span', { class: 'scale-label', '--at': position(tick, axis) }, accuracyTick(tick))));
}
