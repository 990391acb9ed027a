// The Compare tab: curves over each other, the verdict beside them, then the numbers, the pairs and the raw values.
import { formatAccuracy, formatClock, formatDifference, formatInterval, formatParameters, formatSpeed } from '../metrics/format.js';
import type { Comparison } from '../protocol/comparison.js';
import { adviceLead, runNames } from '../runs/verdict.js';
import { accuracyAxis, accuracyTick, intervalAxis, type Axis } from './axes.js';
import { comparedPairs, comparedRuns, comparisonFacts, comparisonSummary, comparisonTitle, type ComparedRun } from './compareView.js';
import { button, h, icon, setChildren, setText, spoken, type Child } from './dom.js';
import { drawInterval, drawScale } from './interval.js';
import { LineChart } from './lineChart.js';
import { dashOf, swatch } from './marks.js';
import { majorityBaseline, secondsElapsed } from './runView.js';
import { ValuesTable } from './valuesTable.js';
import { t, WORDS } from './words.js';

export interface CompareScreenActions {
  addRun(): void;
  removeRun(directory: string): void;
  openRun(directory: string): void;
  setHidden(runId: string, hidden: boolean): void;
}

export interface CompareContent {
  readonly comparison: Comparison | undefined;
  readonly reason?: string | undefined;
  /** Ids of the runs whose curves are switched off. */
  readonly hidden: ReadonlySet<string>;
}

export class CompareScreen {
  readonly element = h('div', { class: 'page page-compare', id: 'screen-compare', role: 'tabpanel', 'aria-labelledby': 'tab-compare' });
  private readonly blank = h('div', { class: 'empty' });
  private readonly title = h('span');
  private readonly aside = h('bdi', { class: 'aside name' });
  private readonly meta = h('ul', { class: 'meta' });
  private readonly verdict = h('section', { class: 'verdict', 'aria-label': t('Verdict') });
  private readonly chart = new LineChart({ title: t('Val accuracy'), format: formatAccuracy, tick: accuracyTick });
  private readonly resultsHead = h('thead');
  private readonly resultsBody = h('tbody');
  private readonly pairsBody = h('tbody');
  private readonly pairs = h('table', { class: 'table stack pairs' }, h('caption', {}, t('Pairs, image by image')),
    h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, t('Pair')), ...numberHeads(t('Difference'), t('Only first right'), t('Only second right'), t('p, corrected')), h('th', { scope: 'col' }, t('Verdict')))),
    this.pairsBody);
  private readonly values = new ValuesTable(t('Values by epoch'), () => undefined);
  private readonly frame: readonly HTMLElement[];
  private axis: Axis | undefined;
  private axisOf = '';

  constructor(private readonly callbacks: CompareScreenActions, private readonly now: () => number) {
    const add = button(t('Add run'), { glyph: 'add', action: 'addRun', onClick: () => this.callbacks.addRun() });
    this.frame = [
      h('header', { class: 'head' }, h('div', { class: 'head-row' }, h('h1', {}, this.title, this.aside), h('div', { class: 'actions' }, add)), this.meta),
      h('div', { class: 'compare-top' }, this.chart.element, this.verdict),
      h('table', { class: 'table stack results' }, h('caption', { class: 'sr' }, t('Results of the runs')), this.resultsHead, this.resultsBody),
      this.pairs,
      this.values.element,
    ];
    this.element.append(this.blank, ...this.frame);
  }

  refreshColours(): void {
    this.chart.refreshColours();
  }

  show({ comparison, reason, hidden }: CompareContent): void {
    const any = comparison !== undefined && comparison.runs.length > 0;
    for (const part of this.frame) part.hidden = !any;
    this.blank.hidden = any;
    if (!any) {
      setChildren(this.blank, JSON.stringify([reason]), () => [
        icon('graph-line'), h('h1', {}, t('Nothing to compare yet')), h('p', {}, reason ?? t('Add two runs on the same images to see whether one is better.')),
        h('div', { class: 'actions' }, button(t('Add run'), { glyph: 'add', action: 'addRun', onClick: () => this.callbacks.addRun() })),
      ]);
      return;
    }
    const runs = comparedRuns(comparison.runs);
    this.showHead(runs);
    this.showVerdict(comparison, reason);
    this.showChart(runs, hidden);
    this.showResults(runs, hidden);
    this.showPairs(comparison, runs);
    this.values.update(runs.map(({ run, label }) => ({ id: run.record.id, label, values: run.epochs.map((epoch) => epoch.validation.accuracy), format: formatAccuracy })));
  }

  private showHead(runs: readonly ComparedRun[]): void {
    setText(this.title, comparisonTitle(runs));
    setText(this.aside, [...new Set(runs.map(({ run }) => run.record.dataset.name))].join(', '));
    const { device, facts } = comparisonFacts(runs);
    setChildren(this.meta, JSON.stringify([device, facts]), () => [h('li', {}, icon('chip'), device), ...facts.map((fact) => h('li', {}, fact))]);
  }

  private showVerdict({ verdict, runs }: Comparison, reason: string | undefined): void {
    const leads = runNames(runs, WORDS).map((name) => adviceLead(name, WORDS));
    setChildren(this.verdict, JSON.stringify([verdict, reason]), () => [
      h('h2', { class: 'verdict-title' }, verdict.title),
      ...verdict.body.map((paragraph) => h('p', {}, ...paragraphParts(paragraph, leads))),
      reason !== undefined && h('p', {}, reason),
      verdict.note !== undefined && h('p', { class: 'fine' }, verdict.note),
    ]);
  }

  private showChart(runs: readonly ComparedRun[], hidden: ReadonlySet<string>): void {
    const shownRuns = runs.map(({ run }) => run.record.id).sort().join(' ');
    if (shownRuns !== this.axisOf) this.axis = undefined;
    this.axisOf = shownRuns;
    const fingerprints = new Set(runs.map(({ run }) => run.record.data?.fingerprint));
    const baseline = fingerprints.size === 1 ? majorityBaseline(runs[0]?.run.record.data, 'validation') : undefined;
    this.axis = accuracyAxis(this.axis, baseline?.accuracy, runs.flatMap(({ run }) => run.epochs.map((epoch) => epoch.validation.accuracy)));
    this.chart.update({
      series: runs.map(({ run, label, mark, live, bestEpoch }) => ({
        id: run.record.id, label, tone: run.record.configuration.strategy, values: run.epochs.map((epoch) => epoch.validation.accuracy),
        dash: dashOf(run.record.configuration), mark, markAt: bestEpoch, hidden: hidden.has(run.record.id), open: live,
      })),
      epochs: Math.max(1, ...runs.map(({ run }) => run.record.configuration.recipe.epochs)),
      axis: this.axis,
      baseline: baseline && { value: baseline.accuracy, label: baseline.label },
      summary: comparisonSummary(runs),
    });
  }

  private showResults(runs: readonly ComparedRun[], hidden: ReadonlySet<string>): void {
    const axis = intervalAxis(runs.flatMap(({ interval }) => (interval ? [interval[0]] : [])));
    const anyTest = runs.some(({ onTest }) => onTest);
    setChildren(this.resultsHead, JSON.stringify(axis), () => [h('tr', {},
      h('th', { class: 'c-check' }, spoken(t('Show'))), h('th', { scope: 'col' }, t('Run')),
      ...numberHeads(t('Accuracy'), t('95% interval')),
      h('th', { class: 'c-interval' }, spoken(t('Interval, drawn')), drawScale(axis)),
      ...numberHeads(t('Against best'), t('Time'), t('Speed'), t('Params trained')),
      h('th', { class: 'c-remove' }, spoken(t('Remove'))))]);
    const best = runs[0]?.accuracy;
    const rows = runs.map((compared, index) => this.rowCells(compared, index === 0, best, axis, anyTest));
    const order = JSON.stringify(runs.map(({ run }) => run.directory));
    setChildren(this.resultsBody, order, () => runs.map((compared) => this.row(compared)));
    runs.forEach((compared, index) => {
      const row = this.resultsBody.rows[index];
      const cells = rows[index];
      if (!row || !cells) return;
      const off = hidden.has(compared.run.record.id);
      row.classList.toggle('is-off', off);
      const box = row.querySelector('input');
      if (box) {
        box.checked = !off;
        box.setAttribute('aria-label', t('Show the curve of {0}', compared.label));
      }
      row.querySelector('.c-remove button')?.setAttribute('aria-label', t('Remove {0} from the comparison', compared.label));
      const name = row.querySelector('.c-run');
      if (name instanceof HTMLElement) setChildren(name, JSON.stringify([compared.label, compared.mark]), () => this.nameCell(compared));
      cells.forEach(({ key, content }, at) => {
        const cell = row.cells[at + 2];
        if (cell) setChildren(cell, key, content);
      });
    });
  }

  private nameCell({ run, label, mark }: ComparedRun): Child[] {
    const open = h('button', { type: 'button', class: 'link name', 'data-action': 'openRun' }, label);
    open.addEventListener('click', (event) => {
      event.stopPropagation();
      this.callbacks.openRun(run.directory);
    });
    return [swatch({ tone: run.record.configuration.strategy, dash: dashOf(run.record.configuration), mark }), open];
  }

  /** A row with empty cells; the cells are filled at each update, so that a checkbox keeps its focus. */
  private row({ run }: ComparedRun): HTMLTableRowElement {
    const { id } = run.record;
    const box = h('input', { type: 'checkbox' });
    const remove = h('button', { type: 'button', class: 'icon-button', 'data-action': 'removeRun' }, icon('close'));
    const number = (label: string) => h('td', { class: 'num', 'data-label': label });
    const row = h('tr', { class: 'row', 'data-run': id }, h('td', { class: 'c-check' }, box), h('th', { scope: 'row', class: 'c-run' }),
      h('td', { class: 'num strong', 'data-label': t('accuracy') }), number(t('95% interval')), h('td', { class: 'c-interval' }),
      number(t('against best')), number(t('time')), number(t('speed')), number(t('params trained')),
      h('td', { class: 'c-remove' }, remove));
    box.addEventListener('change', () => this.callbacks.setHidden(id, !box.checked));
    remove.addEventListener('click', (event) => {
      event.stopPropagation();
      this.callbacks.removeRun(run.directory);
    });
    row.addEventListener('click', (event) => { if (event.target !== box) box.click(); });
    row.addEventListener('pointerenter', () => this.chart.emphasise(id));
    row.addEventListener('pointerleave', () => this.chart.emphasise(undefined));
    row.addEventListener('focusin', () => this.chart.emphasise(id));
    row.addEventListener('focusout', () => this.chart.emphasise(undefined));
    return row;
  }

  private rowCells({ run, accuracy, interval, mark, onTest, live }: ComparedRun, first: boolean, best: number | undefined, axis: Axis, anyTest: boolean): { key: string; content: () => Child[] }[] {
    const { result, configuration } = run.record;
    const text = (value: string) => ({ key: value, content: () => [value] });
    const split = anyTest ? ` ${onTest ? t('test') : t('val')}` : '';
    const seconds = secondsElapsed(run, this.now());
    return [
      { key: `${String(accuracy)}${split}`, content: () => [h('span', {}, formatAccuracy(accuracy), split && h('span', { class: 'muted' }, split))] },
      { key: formatInterval(interval), content: () => [h('span', { class: 'muted' }, formatInterval(interval))] },
      {
        key: JSON.stringify([accuracy, interval, axis, mark]),
        content: () => (accuracy === undefined || !interval ? [] : [drawInterval({ value: accuracy, interval, axis, tone: configuration.strategy, mark })]),
      },
      first ? { key: 'best', content: () => [h('span', { class: 'muted' }, t('best'))] }
        : text(accuracy === undefined || best === undefined ? formatDifference(undefined) : formatDifference(accuracy - best)),
      text(formatClock(seconds !== undefined && live ? Math.floor(seconds) : seconds)),
      text(formatSpeed(result?.imagesPerSecond ?? run.epochs.at(-1)?.imagesPerSecond)),
      text(formatParameters(result?.parameters.trained)),
    ];
  }

  private showPairs(comparison: Comparison, runs: readonly ComparedRun[]): void {
    const pairs = comparedPairs(comparison, runs);
    this.pairs.hidden = pairs.length === 0;
    setChildren(this.pairsBody, JSON.stringify(pairs), () => pairs.map((pair) => h('tr', {},
      h('th', { scope: 'row' }, pair.label),
      h('td', { class: 'num', 'data-label': t('difference') }, pair.difference),
      h('td', { class: 'num', 'data-label': t('only first right') }, pair.onlyFirst),
      h('td', { class: 'num', 'data-label': t('only second right') }, pair.onlySecond),
      h('td', { class: 'num', 'data-label': t('p, corrected') }, pair.p),
      h('td', { class: 'c-verdict' }, pair.significant ? h('strong', {}, pair.verdict) : pair.verdict))));
  }
}

function numberHeads(...labels: readonly string[]): HTMLElement[] {
  return labels.map((label) => h('th', { scope: 'col', class: 'num' }, label));
}

/** `Take freeze: as good here` with its lead in bold, and `p = .41` kept on one line. */
function paragraphParts(paragraph: string, leads: readonly string[]): Child[] {
  const lead = leads.find((candidate) => paragraph.startsWith(candidate)) ?? '';
  const rest = paragraph.slice(lead.length).split(/(\bp [=<] [.\d]+)/);
  return [lead !== '' && h('strong', {}, lead), ...rest.map((part, index) => (index % 2 === 1 ? h('span', { class: 'p-value' }, part) : part))];
}
