// The panel's script: draws what the host posts, remembers what is selected, and tells the host what was asked for.
import * as v from 'valibot';
import { panelStateSchema, type HostMessage, type PanelState, type WebviewMessage } from '../protocol/messages.js';
import { AdviceScreen } from './adviceScreen.js';
import { ClassifyScreen } from './classifyScreen.js';
import { CompareScreen } from './compareScreen.js';
import { h, icon } from './dom.js';
import { parseHostMessage } from './hostMessages.js';
import { RunScreen } from './runScreen.js';
import { StudyScreen } from './studyScreen.js';
import { watchTheme } from './theme.js';
import { throttle } from './throttle.js';
import { parseTranslations, t, translateWith } from './words.js';

interface VsCodeApi {
  postMessage(message: WebviewMessage): void;
  getState(): unknown;
  setState(state: PanelState): void;
}

declare function acquireVsCodeApi(): VsCodeApi;

type Tab = PanelState['tab'];
type RunMessage = Extract<HostMessage, { type: 'run' }>;
type ComparisonMessage = Extract<HostMessage, { type: 'comparison' }>;
type ClassificationMessage = Extract<HostMessage, { type: 'classification' }>;
type StudyMessage = Extract<HostMessage, { type: 'study' }>;

type AdviceMessage = Extract<HostMessage, { type: 'advice' }>;

const TABS: readonly Tab[] = ['run', 'compare', 'classify', 'advice', 'study'];

/** Ticks of the elapsed time, and the rest before scrolling is remembered, ms. */
const TICK_MS = 1000;
const SCROLL_REST_MS = 200;
/** As many runs as the state may hold. */
const MOST_COMPARED = 12;

const timeOfDay = (time: number) => new Date(time).toLocaleTimeString('en-GB');

/** `undefined` has no JSON, whatever the types say. */
function describe(data: unknown): string {
  const text: unknown = JSON.stringify(data);
  return typeof text === 'string' ? text : typeof data;
}

/** The host writes it into its log. */
function reportError(api: VsCodeApi, error: unknown): void {
  const text = error instanceof Error ? error.stack ?? error.message : String(error);
  api.postMessage({ type: 'scriptError', message: text.slice(0, 4096) });
}

class Panel {
  private state: PanelState;
  private runMessage: RunMessage | undefined;
  private comparisonMessage: ComparisonMessage | undefined;
  private classificationMessage: ClassificationMessage | undefined;
  private adviceMessage: AdviceMessage | undefined;
  private studyMessage: StudyMessage | undefined;
  /** The host's clock minus ours, ms. */
  private clockOffset = 0;
  private readonly tabButtons = new Map<Tab, HTMLButtonElement>();
  private readonly openRecord = h('button', { type: 'button', class: 'icon-button', 'aria-label': t('Open {0}', 'run.json'), title: t('Open {0}', 'run.json'), 'data-action': 'openRecord' }, icon('go-to-file'));
  private readonly runScreen: RunScreen;
  private readonly compareScreen: CompareScreen;
  private readonly classifyScreen: ClassifyScreen;
  private readonly adviceScreen: AdviceScreen;
  private readonly studyScreen: StudyScreen;
  private readonly drawRun: () => void;
  private readonly drawComparison: () => void;
  private scrollToRestore: number | undefined;

  constructor(root: HTMLElement, private readonly api: VsCodeApi) {
    const saved = v.safeParse(panelStateSchema, this.api.getState());
    this.state = saved.success ? saved.output : { version: 1, tab: 'run', compared: [], hidden: [] };
    this.scrollToRestore = this.state.scroll;
    const hostNow = () => Date.now() + this.clockOffset;
    this.runScreen = new RunScreen({
      stop: (directory) => this.api.postMessage({ type: 'stop', directory }),
      trainAgain: (directory) => this.api.postMessage({ type: 'trainAgain', directory }),
      train: (strategy) => this.api.postMessage({ type: 'train', strategy }),
      compare: (directory) => this.compare(directory),
      openLog: (directory) => this.api.postMessage({ type: 'openLog', directory }),
      valuesToggled: (open) => { if (open !== Boolean(this.state.valuesOpen)) this.remember({ valuesOpen: open }); },
    }, hostNow, timeOfDay);
    this.compareScreen = new CompareScreen({
      addRun: () => this.api.postMessage({ type: 'addRun' }),
      removeRun: (directory) => this.api.postMessage({ type: 'removeRun', directory }),
      openRun: (directory) => this.api.postMessage({ type: 'openRun', directory }),
      setHidden: (runId, hidden) => this.setHidden(runId, hidden),
    }, hostNow);
    this.classifyScreen = new ClassifyScreen({ classifyOthers: () => this.api.postMessage({ type: 'classify' }), openRun: (directory) => this.api.postMessage({ type: 'openRun', directory }) });
    this.adviceScreen = new AdviceScreen({
      train: (dataset, strategy) => this.api.postMessage({ type: 'trainAdvised', dataset, strategy }),
      measureAgain: (dataset) => this.api.postMessage({ type: 'adviseAgain', dataset }),
    });
    this.studyScreen = new StudyScreen({
      stop: (directory) => this.api.postMessage({ type: 'stopStudy', directory }),
      resume: (directory) => this.api.postMessage({ type: 'resumeStudy', directory }),
      exportTable: (directory) => this.api.postMessage({ type: 'exportStudy', directory }),
      openLog: (directory) => this.api.postMessage({ type: 'openStudyLog', directory }),
      openRun: (directory, run) => this.api.postMessage({ type: 'openStudyRun', directory, run }),
    });
    const timers = { now: () => performance.now(), setTimeout: (callback: () => void, milliseconds: number) => window.setTimeout(callback, milliseconds) };
    this.drawRun = throttle(() => this.showRun(), timers);
    this.drawComparison = throttle(() => this.showComparison(), timers);

    this.openRecord.addEventListener('click', () => {
      const directory = this.runMessage?.run?.directory;
      if (directory !== undefined) this.api.postMessage({ type: 'openRecord', directory });
    });
    root.replaceChildren(this.topBar(), h('main', {}, this.runScreen.element, this.compareScreen.element, this.classifyScreen.element, this.adviceScreen.element, this.studyScreen.element));
    this.runScreen.openValues(Boolean(this.state.valuesOpen));
    this.showTab(this.state.tab);
    this.listen();
    this.api.postMessage({ type: 'ready', ...(saved.success && { state: this.state }) });
  }

  private topBar(): HTMLElement {
    const labels: Readonly<Record<Tab, string>> = { run: t('Run'), compare: t('Compare'), classify: t('Classify'), advice: t('Advice'), study: t('Study') };
    const buttons = TABS.map((tab) => {
      const element = h('button', { type: 'button', role: 'tab', class: 'tab', id: `tab-${tab}`, 'aria-controls': `screen-${tab}` }, labels[tab]);
      element.addEventListener('click', () => this.selectTab(tab));
      this.tabButtons.set(tab, element);
      return element;
    });
    const list = h('div', { role: 'tablist', 'aria-label': 'Thaw', class: 'tabs' }, ...buttons);
    list.addEventListener('keydown', (event) => {
      const tabs = TABS.filter((tab) => this.tabButtons.get(tab)?.hidden === false);
      const at = tabs.indexOf(this.state.tab);
      const targets: Readonly<Record<string, number>> = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: tabs.length - 1 };
      const to = targets[event.key];
      const next = to === undefined ? undefined : tabs.at(to % tabs.length);
      if (!next) return;
      event.preventDefault();
      this.selectTab(next);
      this.tabButtons.get(next)?.focus();
    });
    return h('div', { class: 'topbar' }, list, h('div', { class: 'topbar-end' }, this.openRecord));
  }

  private listen(): void {
    window.addEventListener('message', (event: MessageEvent<unknown>) => {
      const message = parseHostMessage(event.data);
      if (message) this.receive(message);
      else reportError(this.api, `The host sent a message of an unknown shape: ${describe(event.data).slice(0, 200)}`);
    });
    watchTheme(() => {
      this.runScreen.refreshColours();
      this.compareScreen.refreshColours();
    });
    window.setInterval(() => this.runScreen.tick(), TICK_MS);
    let resting: number | undefined;
    window.addEventListener('scroll', () => {
      window.clearTimeout(resting);
      resting = window.setTimeout(() => {
        this.state = { ...this.state, scroll: window.scrollY };
        this.api.setState(this.state);
      }, SCROLL_REST_MS);
    }, { passive: true });
  }

  private receive(message: HostMessage): void {
    switch (message.type) {
      case 'run': {
        this.clockOffset = message.now - Date.now();
        const changed = message.run?.directory !== this.runMessage?.run?.directory;
        this.runMessage = message;
        // The host chose the run: remembered for a reload, and nothing to tell it.
        if (message.run && message.run.directory !== this.state.run) {
          this.state = { ...this.state, run: message.run.directory };
          this.api.setState(this.state);
        }
        if (changed) this.showRun();
        else this.drawRun();
        break;
      }
      case 'stopFailed':
        this.runScreen.stopFailed(message.directory);
        break;
      case 'comparison':
        this.comparisonMessage = message;
        if (message.comparison) this.adoptComparison(message.comparison.runs.map((run) => run.directory));
        this.drawComparison();
        break;
      case 'classification':
        this.classificationMessage = message;
        this.showTab(this.state.tab);
        break;
      case 'advice': {
        this.adviceMessage = message;
        // Remembered for a reload: the host keeps the advice on each dataset.
        const folder = message.advice?.dataset.path;
        if (folder !== undefined && folder !== this.state.advice) {
          this.state = { ...this.state, advice: folder };
          this.api.setState(this.state);
        }
        this.showTab(this.state.tab);
        break;
      }
      case 'study':
        this.studyMessage = message;
        if (message.study !== undefined && message.study.directory !== this.state.study) {
          this.state = { ...this.state, study: message.study.directory };
          this.api.setState(this.state);
        }
        this.showTab(this.state.tab);
        break;
      case 'show':
        this.selectTab(message.tab);
        break;
    }
  }

  private showRun(): void {
    const { run, note, cannotTrain } = this.runMessage ?? {};
    this.openRecord.hidden = !run;
    this.runScreen.show({ run, note, cannotTrain });
    this.restoreScroll();
  }

  private showComparison(): void {
    const { comparison, reason } = this.comparisonMessage ?? {};
    this.compareScreen.show({ comparison, reason, hidden: new Set(this.state.hidden) });
    this.restoreScroll();
  }

  private showStudy(): void {
    const { study, samples = [], cannotTrain } = this.studyMessage ?? {};
    this.studyScreen.show({ study, samples, cannotTrain });
    this.restoreScroll();
  }

  /** Once, as soon as the page is tall enough. */
  private restoreScroll(): void {
    if (this.scrollToRestore === undefined) return;
    window.scrollTo(0, this.scrollToRestore);
    if (Math.abs(window.scrollY - this.scrollToRestore) < 2) this.scrollToRestore = undefined;
  }

  private selectTab(tab: Tab): void {
    if (tab !== this.state.tab) this.remember({ tab });
    this.showTab(tab);
  }

  private showTab(wanted: Tab): void {
    const classification = this.classificationMessage?.classification;
    // The tab is there while there is something in it: what was classified is not kept on disk.
    const classifies = this.tabButtons.get('classify');
    if (classifies !== undefined) classifies.hidden = classification === undefined;
    const { advice, cannotTrain } = this.adviceMessage ?? {};
    const advises = this.tabButtons.get('advice');
    if (advises !== undefined) advises.hidden = advice === undefined;
    const study = this.tabButtons.get('study');
    const hasStudy = this.studyMessage?.study !== undefined || this.state.study !== undefined;
    if (study !== undefined) study.hidden = !hasStudy;
    const missing = (wanted === 'classify' && classification === undefined) || (wanted === 'advice' && advice === undefined)
      || (wanted === 'study' && !hasStudy);
    const current = missing ? 'run' : wanted;
    for (const [tab, element] of this.tabButtons) {
      element.setAttribute('aria-selected', String(tab === current));
      element.tabIndex = tab === current ? 0 : -1;
    }
    this.runScreen.element.hidden = current !== 'run';
    this.compareScreen.element.hidden = current !== 'compare';
    this.classifyScreen.element.hidden = current !== 'classify';
    this.adviceScreen.element.hidden = current !== 'advice';
    this.studyScreen.element.hidden = current !== 'study';
    if (current === 'run') this.showRun();
    else if (current === 'compare') this.showComparison();
    else if (current === 'advice' && advice !== undefined) this.adviceScreen.show({ advice, cannotTrain });
    else if (current === 'study') this.showStudy();
    else if (classification !== undefined) this.classifyScreen.show(classification);
  }

  /** Adds a run to the comparison and goes there; the host answers the new state with the comparison. */
  private compare(directory: string): void {
    const compared = this.state.compared.includes(directory) ? this.state.compared : [...this.state.compared, directory].slice(-MOST_COMPARED);
    this.remember({ compared, tab: 'compare' });
    this.showTab('compare');
  }

  /** The host may have added or dropped runs: its list is the truth. */
  private adoptComparison(directories: readonly string[]): void {
    const compared = directories.slice(0, MOST_COMPARED);
    if (JSON.stringify([...compared].sort()) === JSON.stringify([...this.state.compared].sort())) return;
    this.state = { ...this.state, compared };
    this.api.setState(this.state);
  }

  private setHidden(runId: string, hidden: boolean): void {
    const others = this.state.hidden.filter((id) => id !== runId);
    this.remember({ hidden: hidden ? [...others, runId].slice(-MOST_COMPARED) : others });
    this.showComparison();
  }

  private remember(change: Partial<PanelState>): void {
    this.state = { ...this.state, ...change };
    this.api.setState(this.state);
    this.api.postMessage({ type: 'state', state: this.state });
  }
}

const api = acquireVsCodeApi();
window.addEventListener('error', (event) => reportError(api, event.error ?? event.message));
window.addEventListener('unhandledrejection', (event) => reportError(api, event.reason));
const root = document.getElementById('app');
if (!root) throw new Error('The panel\'s page has no element with the id app');
translateWith(parseTranslations(root.dataset['words']));
new Panel(root, api);
