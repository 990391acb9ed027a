// The Advice tab: which strategy, why and how sure, where the dataset lies among the four rules of thumb, and what was measured.
import { FAR_BELOW, LARGE_FROM } from '../advice/rule.js';
import { confidenceText, formatNearness, reasonText, recommendationTitle, ruleOfThumb } from '../advice/words.js';
import { formatAccuracy, formatClock, formatCount, formatInterval, formatP } from '../metrics/format.js';
import type { Advice, Measurements, Proportion } from '../protocol/advice.js';
import type { Colour, Strategy } from '../protocol/run.js';
import { intervalAxis, type Axis } from './axes.js';
import { button, h, setChildren, setText, type Child } from './dom.js';
import { drawInterval, drawScale } from './interval.js';
import { markOf } from './marks.js';
import { networkTitle } from './runView.js';
import { recorded, t, WORDS } from './words.js';

export interface AdviceScreenActions {
  /** On a dataset's folder, as is measuring. */
  train(dataset: string, strategy: 'freeze' | 'finetune'): void;
  measureAgain(dataset: string): void;
}

export interface AdviceContent {
  readonly advice: Advice;
  readonly cannotTrain?: string | undefined;
}

const SIZES = ['large', 'small'] as const;
const DISTANCES = ['far', 'near'] as const;
/** Decades of training images that the picture shows on either side of the line. */
const DECADES = 2;

export class AdviceScreen {
  readonly element = h('div', { class: 'page page-advice', id: 'screen-advice', role: 'tabpanel', 'aria-labelledby': 'tab-advice' });
  private readonly dataset = h('bdi', { class: 'aside name' });
  private readonly meta = h('ul', { class: 'meta' });
  private readonly verdict = h('section', { class: 'verdict', 'aria-label': t('Advice') });
  private readonly picture = h('figure', { class: 'quadrants' });
  private readonly body = h('tbody');
  private readonly scale = h('td', { class: 'c-interval' });
  private readonly logme = h('div');

  constructor(private readonly callbacks: AdviceScreenActions) {
    this.element.append(
      h('header', { class: 'head' }, h('div', { class: 'head-row' }, h('h1', {}, h('span', {}, t('Which strategy?')), this.dataset)), this.meta),
      h('div', { class: 'advice-top' }, this.verdict, this.picture),
      h('table', { class: 'table stack measures' }, h('caption', {}, t('What was measured')),
        h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, t('Measurement')), h('th', { scope: 'col', class: 'num' }, t('Value')), h('th', { scope: 'col', class: 'num' }, t('95% interval')), h('th', { scope: 'col' }))),
        this.body, h('tfoot', { 'aria-hidden': 'true' }, h('tr', {}, h('td', { colspan: 3 }), this.scale))),
      this.logme,
    );
  }

  show({ advice, cannotTrain }: AdviceContent): void {
    const { measurements: measured, network, device, dataset } = advice;
    setText(this.dataset, dataset.name);
    setChildren(this.meta, JSON.stringify([network, device, measured.train, measured.validation, measured.measured]), () => [
      h('li', {}, networkTitle(network)), network.colour === 'gray' && h('li', {}, t('gray')), h('li', {}, recorded(device)),
      h('li', {}, t('{0} train, {1} val, {2} classes', formatCount(measured.train), formatCount(measured.validation), formatCount(measured.classes))),
      measured.measured < measured.train && h('li', {}, t('{0} measured', formatCount(measured.measured))),
    ]);
    this.showVerdict(advice, cannotTrain);
    this.showPicture(advice);
    this.showMeasurements(measured, network.colour);
    this.showLogme(measured);
  }

  private showVerdict(advice: Advice, cannotTrain: string | undefined): void {
    const { decision, measurements: measured, dataset } = advice;
    setChildren(this.verdict, JSON.stringify([dataset, decision, measured, cannotTrain]), () => {
      const first: Strategy = decision.recommendation === 'finetune' ? 'finetune' : 'freeze';
      const train = (strategy: 'freeze' | 'finetune'): HTMLButtonElement => button(strategy === 'freeze' ? t('Train with Freeze') : t('Train with Finetune'),
        { look: strategy === first ? 'primary' : 'secondary', action: `train-${strategy}`, onClick: () => this.callbacks.train(dataset.path, strategy) });
      const pilot = h('button', { type: 'button', class: 'link', 'data-action': 'pilot' }, measured.pilot === undefined ? t('Try it on a pilot of two epochs') : t('Measure again'));
      pilot.addEventListener('click', () => this.callbacks.measureAgain(dataset.path));
      return [
        h('h2', { class: 'verdict-title' }, recommendationTitle(decision, WORDS)),
        h('p', {}, reasonText(advice, WORDS)),
        h('p', {}, confidenceText(decision, WORDS)),
        h('p', { class: 'muted' }, t('freeze takes about {0} here, finetune about {1}.', formatClock(measured.seconds.freeze), formatClock(measured.seconds.finetune))),
        cannotTrain === undefined ? h('div', { class: 'actions' }, train(first), train(first === 'freeze' ? 'finetune' : 'freeze'), pilot) : h('p', { class: 'cannot' }, cannotTrain),
      ];
    });
  }

  /** Far to near, small to large, each line where the rule has it; the dataset's place with the interval of its nearness. */
  private showPicture({ decision, measurements: { train, nearness } }: Advice): void {
    setChildren(this.picture, JSON.stringify([decision, train, nearness]), () => {
      const here = (size: typeof SIZES[number], distance: typeof DISTANCES[number]): boolean => size === decision.size && (distance === decision.distance || decision.distance === 'unknown');
      const x = (value: number): string => percent(value / (2 * FAR_BELOW));
      const y = percent(0.5 + Math.log10(train / LARGE_FROM) / (2 * DECADES));
      const where = nearness === undefined ? t('{0} training images; nearness not known for these weights', formatCount(train))
        : t('{0} training images, nearness {1} [{2}–{3}]', formatCount(train), formatNearness(nearness.mean), formatNearness(nearness.interval[0]), formatNearness(nearness.interval[1]));
      return [
        h('div', { class: 'quadrant-grid' },
          ...SIZES.flatMap((size) => DISTANCES.map((distance) => {
            const { place, rule } = ruleOfThumb(size, distance, WORDS);
            return h('div', { class: `quadrant${here(size, distance) ? ' is-here' : ''}`, 'aria-current': here(size, distance) ? 'true' : undefined }, h('strong', {}, place), h('span', {}, rule));
          })),
          nearness !== undefined && h('span', { class: 'quadrant-bar', '--from': x(nearness.interval[0]), '--to': x(nearness.interval[1]), '--y': y, 'aria-hidden': 'true' }),
          nearness !== undefined && h('span', { class: 'quadrant-dot', '--x': x(nearness.mean), '--y': y, 'aria-hidden': 'true' })),
        h('figcaption', { class: 'fine' }, t('Rules of thumb, and where this dataset lies: {0}. Large from {1} images, near from a nearness of {2}; noise has 0, photographs 1.', where, formatCount(LARGE_FROM), formatNearness(FAR_BELOW))),
      ];
    });
  }

  private showMeasurements(measured: Measurements, colour: Colour): void {
    const { probe, nearestMean, learningCurve, perClass, pilot } = measured;
    const part = (share: number): string => (share === 0.25 ? t('Linear probe, ¼ of the images') : share === 0.5 ? t('Linear probe, ½ of the images') : t('Linear probe, all images'));
    const rows: readonly { readonly label: string; readonly score: Proportion; readonly tone: 'freeze' | 'finetune' }[] = [
      ...learningCurve.filter(({ share }) => share < 1).map(({ share, ...score }) => ({ label: part(share), score, tone: 'freeze' as const })),
      { label: part(1), score: probe, tone: 'freeze' },
      { label: t('Nearest class mean'), score: nearestMean, tone: 'freeze' },
      ...(pilot === undefined ? [] : [
        { label: t('Pilot, freeze on val'), score: pilot.freeze, tone: 'freeze' as const },
        { label: t('Pilot, {0} epochs of finetune on val ({1})', pilot.epochs, formatP(pilot.p)), score: pilot.finetune, tone: 'finetune' as const },
      ]),
    ];
    setChildren(this.body, JSON.stringify([rows, colour, measured.nearness, perClass]), () => {
      const axis = intervalAxis(rows.map(({ score }) => score.interval[0]));
      setChildren(this.scale, JSON.stringify(axis), () => [drawScale(axis)]);
      const { nearness } = measured;
      return [
        ...rows.map(({ label, score, tone }) => scoreRow(label, score, tone, colour, axis)),
        plainRow(t('Nearness to ImageNet'), formatNearness(nearness?.mean), nearness === undefined ? '–' : `[${formatNearness(nearness.interval[0])}–${formatNearness(nearness.interval[1])}]`),
        plainRow(t('Training images of a class'), formatCount(perClass.median), t('{0} to {1}', formatCount(perClass.least), formatCount(perClass.most))),
      ];
    });
  }

  private showLogme({ logme, notCompared }: Measurements): void {
    setChildren(this.logme, JSON.stringify([logme, notCompared]), () => {
      const strides = [...new Set(logme.flatMap(({ cuts }) => cuts.map(({ stride }) => stride)))].sort((a, b) => a - b);
      if (strides.length === 0) return [];
      return [h('table', { class: 'table compact stack logme' }, h('caption', {}, t('LogME by network and depth: higher fits these classes better')),
        h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, t('Network')), ...strides.map((stride) => h('th', { scope: 'col', class: 'num' }, t('stride {0}', stride))))),
        h('tbody', {}, ...logme.map(({ backbone, cuts }) => h('tr', {}, h('th', { scope: 'row' }, networkTitle({ backbone })),
          ...strides.map((stride) => h('td', { class: 'num', 'data-label': t('stride {0}', stride) }, logmeText(cuts.find((cut) => cut.stride === stride)?.logme))))))),
      ...(notCompared === undefined ? [] : [h('p', { class: 'muted' }, t('Not compared, for want of time: {0}', notCompared.map((backbone) => networkTitle({ backbone })).join(', ')))])];
    });
  }
}

function scoreRow(label: string, score: Proportion, tone: 'freeze' | 'finetune', colour: Colour, axis: Axis): Child {
  return h('tr', {}, h('th', { scope: 'row' }, label), h('td', { class: 'num strong', 'data-label': t('accuracy') }, formatAccuracy(score.accuracy), h('span', { class: 'muted' }, ` ${t('{0} of {1}', formatCount(score.correct), formatCount(score.total))}`)),
    h('td', { class: 'num', 'data-label': t('95% interval') }, formatInterval(score.interval)),
    h('td', { class: 'c-interval' }, drawInterval({ value: score.accuracy, interval: score.interval, axis, tone, mark: markOf({ strategy: tone, colour }) })));
}

function plainRow(label: string, value: string, range: string): Child {
  return h('tr', {}, h('th', { scope: 'row' }, label), h('td', { class: 'num strong' }, value), h('td', { class: 'num' }, range), h('td', { class: 'c-interval' }));
}

function logmeText(value: number | undefined): string {
  return value === undefined ? '–' : value.toFixed(2).replace('-', '−');
}

/** A share of the picture's side, kept off its edges. */
function percent(share: number): string {
  return `${(Math.min(0.97, Math.max(0.03, share)) * 100).toFixed(1)}%`;
}
