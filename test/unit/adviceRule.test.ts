// The rule on the study's own datasets, whose winners are known, and at its edges; the words; the evaluation's table.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import * as v from 'valibot';
import { crossValidate, proportion } from '../../src/advice/measure.js';
import { confidenceReference } from '../../src/advice/references.js';
import { decide, LARGE_FROM, TELLING_IMAGES, type RuleInput } from '../../src/advice/rule.js';
import { confidenceText, reasonText, recommendationTitle } from '../../src/advice/words.js';
import { mcnemarExact } from '../../src/metrics/significance.js';
import { ENGLISH } from '../../src/protocol/localiser.js';
import type { Measurements, Pilot } from '../../src/protocol/advice.js';
import { adviceTable, EVALUATED_RECIPES, outcomeOf, summarySchema, withTable, type CaseResult } from '../../bench/adviceTable.js';

function input(train: number, validation: number, correct: number, total: number, near: number | undefined, pilot?: Pilot): RuleInput {
  return {
    train, validation, probe: proportion(correct, total),
    ...(near !== undefined && { nearness: { mean: near, interval: [near - 0.03, near + 0.03], photographs: 0.5, noise: 0.1 } }), ...(pilot !== undefined && { pilot }),
  };
}

function pilotOf(onlyFreezeRight: number, onlyFinetuneRight: number): Pilot {
  return { epochs: 2, trained: 300, freeze: proportion(150, 200), finetune: proportion(150 + onlyFinetuneRight - onlyFreezeRight, 200), onlyFreezeRight, onlyFinetuneRight, p: mcnemarExact(onlyFreezeRight, onlyFinetuneRight), seconds: 30 };
}

describe('the rule', () => {
  // The study's table (ResNet18, 15 epochs): training and validation images, freeze's accuracy in colour and in gray, and what won, by more than two
  // standard errors of the difference.
  for (const [name, train, validation, near, freeze, winner] of [
    ['Hymenoptera', 244, 153, 1.3, [0.961, 0.902], 'neither'],
    ['Simpsons', 15638, 3910, 0.3, [0.642, 0.543], 'finetune'],
    ['dogs and cats', 20000, 5000, 0.7, [0.981, 0.976], 'finetune'],
    ['Caltech256', 24491, 6116, 0.9, [0.543, 0.435], 'finetune'],
  ] as const) {
    test(`names what won in the study: ${name}`, () => {
      for (const accuracy of freeze) {
        const { recommendation, confidence } = decide(input(train, validation, Math.round(accuracy * 1000), 1000, near));
        if (winner === 'finetune') assert.deepEqual([recommendation, confidence], ['finetune', 'high'], String(accuracy));
        else assert.notEqual(recommendation, 'finetune', String(accuracy));
      }
    });
  }

  test('six images are the fewest that McNemar\'s exact test tells from chance', () => {
    assert.ok(mcnemarExact(0, TELLING_IMAGES) < 0.05);
    assert.ok(mcnemarExact(0, TELLING_IMAGES - 1) > 0.05);
  });

  test('expects no difference where too little is left to gain', () => {
    assert.deepEqual(decide(input(400, 150, 995, 1000, 1)), { recommendation: 'no-difference', because: 'ceiling', size: 'small', distance: 'near', errorsRemoved: 0, expectedImages: 0, confidence: 'high' });
    const few = decide(input(5000, 60, 900, 1000, 0.9));
    assert.deepEqual([few.recommendation, few.because], ['no-difference', 'too-few-to-tell']);
    assert.ok(few.expectedImages < TELLING_IMAGES && few.expectedImages > 2);
  });

  test('a few validation images are no reason to do without a large gain', () => {
    const few = decide(input(5000, 20, 640, 1000, 0.3));
    assert.deepEqual([few.recommendation, few.because, few.confidence], ['finetune', 'gain', 'high']);
  });

  test('small and far, where finetune won much once and nothing once, is tried, and unsure', () => {
    // The digits and the emoji of docs/recipes.md.
    for (const probe of [830, 870]) {
      const { recommendation, confidence, doubt } = decide(input(500, 300, probe, 1000, 0.3));
      assert.deepEqual([recommendation, confidence, doubt], ['finetune', 'low', 'evidence']);
    }
  });

  test('is unsure within the noise of its measurements, and fairly sure near the line between small and large', () => {
    assert.deepEqual([decide(input(300, 100, 960, 1000, 1)).confidence, decide(input(300, 100, 960, 1000, 1)).doubt], ['high', undefined]);
    const large = decide(input(LARGE_FROM * 0.8, 100, 800, 1000, 1));
    assert.deepEqual([large.confidence, large.doubt], ['moderate', 'size']);
    const ceiling = decide(input(5000, 300, 47, 50, 0.9));
    assert.deepEqual([ceiling.recommendation, ceiling.confidence, ceiling.doubt], ['finetune', 'low', 'noise'], 'the probe\'s interval reaches the ceiling');
    const many = decide(input(300, 300, 600, 1000, 1));
    assert.deepEqual([many.recommendation, many.confidence, many.doubt], ['freeze', 'low', 'evidence'], 'a fifth of 120 errors would tell');
  });

  test('does without a nearness', () => {
    const decision = decide(input(20000, 5000, 600, 1000, undefined));
    assert.deepEqual([decision.recommendation, decision.distance, decision.confidence], ['finetune', 'unknown', 'high']);
  });

  test('follows a pilot that tells, and trusts itself less where one contradicts it', () => {
    const small = decide(input(300, 300, 200, 300, 1, pilotOf(2, 15)));
    assert.deepEqual([small.recommendation, small.because, small.confidence], ['finetune', 'pilot', 'high']);
    const large = decide(input(20000, 5000, 600, 1000, 1, pilotOf(15, 2)));
    assert.deepEqual([large.recommendation, large.because, large.confidence, large.doubt], ['freeze', 'pilot', 'moderate', 'short-pilot']);
    const doubted = decide(input(20000, 5000, 600, 1000, 1, pilotOf(4, 2)));
    assert.deepEqual([doubted.recommendation, doubted.because, doubted.confidence, doubted.doubt], ['finetune', 'gain', 'low', 'pilot']);
  });
});

function measurements(from: RuleInput): Measurements {
  return {
    classes: 2, perClass: { least: 100, median: 120, most: 140 }, measured: 240, nearestMean: proportion(200, 240), learningCurve: [], logme: [], seconds: { freeze: 6, finetune: 60 }, ...from,
  };
}

describe('advice in words', () => {
  const cases: readonly [RuleInput, string, RegExp][] = [
    [input(245, 153, 239, 245, 1.3), 'No difference to be expected: freeze is quicker',
      /^A linear classifier on the features is right on \.976 \[.*\] already: finetune would get at most about 3 more of 153 validation images right, and it takes 6 to tell that from chance\.$/],
    [input(300, 188, 240, 300, 0.8), 'Train with freeze', /^With 300 training images, near to ImageNet \(nearness \.80\), finetune has not been seen to gain on freeze beyond chance, and a linear classifier/],
    [input(300, 188, 240, 300, 0.34), 'Train with finetune', /on datasets like this one \(300 training images, far from ImageNet \(nearness \.34\)\) finetune has removed 0% to 75% of such errors\.$/],
    [input(15638, 3910, 642, 1000, 0.3), 'Train with finetune', /reaches \.642 .* \(15,638 training images, far from ImageNet \(nearness \.30\)\) finetune has removed 78% to 79% of such errors\.$/],
    [input(300, 188, 240, 300, undefined, pilotOf(2, 15)), 'Train with finetune', /^In a pilot of 2 epochs finetune was right on \.815 \[.*\] of the validation images and freeze on \.750 \[.*\] \(p = \.002\)\.$/],
  ];
  for (const [from, title, reason] of cases) {
    test(title + String(reason), () => {
      const decision = decide(from);
      assert.equal(recommendationTitle(decision, ENGLISH), title);
      assert.match(reasonText({ decision, measurements: measurements(from) }, ENGLISH), reason);
      assert.match(confidenceText(decision, ENGLISH), /(?:^Sure|^Fairly sure|^Unsure): .*\.$/);
    });
  }
});

test('a classifier is judged on images that it has not seen: labels without a pattern are guessed', () => {
  // Each image is there twice, with random features and labels: a probe that had seen the copy would be right on all.
  const images = 120;
  const features = { values: Float32Array.from({ length: images * 64 }, (_, at) => Math.sin(1e4 * ((at % (images * 32)) + 1) ** 2)), images, channels: 64 };
  const labels = Int32Array.from({ length: images }, (_, row) => Math.floor(Math.abs(Math.sin(1 + (row % 60)) * 1e4)) % 2);
  const groups = Array.from(labels, (_, row) => `content ${String(row % 60)}`);
  const { probe, nearestMean, learningCurve } = crossValidate(features, { labels, groups, classes: 2 });
  assert.equal(probe.total, images);
  assert.ok(probe.accuracy < 0.75 && nearestMean.accuracy < 0.75, `${String(probe.accuracy)} ${String(nearestMean.accuracy)}`);
  const leaking = crossValidate(features, { labels, groups: Array.from(labels, (_, row) => String(row)), classes: 2 });
  assert.ok(leaking.probe.accuracy > 0.9, String(leaking.probe.accuracy));
  assert.deepEqual(learningCurve.map(({ share }) => share), [0.25, 0.5, 1]);
});

test('references are of the very weights that were measured', () => {
  const sha = '579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db';
  const found = confidenceReference('efficientnet_lite0', sha);
  assert.ok(found !== undefined && found.noise < found.photographs);
  assert.equal(confidenceReference('efficientnet_lite0', sha.replace('5', '6')), undefined);
});

describe('the evaluation', () => {
  const run = (seed: number, right: string) => ({ seed, right, epochs: 5, seconds: 10, made: 'x' });
  const result = (freeze: string, finetune: string, from: RuleInput): CaseResult => ({
    advice: { made: 'x', result: { measurements: measurements(from), seconds: 9 } },
    freeze: [run(0, freeze), run(1, freeze)], finetune: [run(0, finetune), run(1, finetune)],
  });
  const freezeAdvised = input(300, 188, 240, 300, 1);

  test('of one seed, four images against none are nobody\'s win', () => {
    const one = result(`${'1'.repeat(96)}0000`, '1'.repeat(100), freezeAdvised);
    assert.equal(outcomeOf('a', { ...one, freeze: one.freeze.slice(0, 1), finetune: one.finetune.slice(0, 1) })?.winner, 'neither');
    const six = result(`${'1'.repeat(94)}000000`, '1'.repeat(100), freezeAdvised);
    assert.equal(outcomeOf('a', { ...six, freeze: six.freeze.slice(0, 1), finetune: six.finetune.slice(0, 1) })?.winner, 'finetune');
  });

  test('says who won beyond the images\' noise, and whether that was advised', () => {
    const right = '1'.repeat(60) + '0'.repeat(40);
    assert.equal(outcomeOf('a', result(right, '1'.repeat(60) + '1'.repeat(20) + '0'.repeat(20), freezeAdvised))?.verdict, 'miss');
    assert.deepEqual([outcomeOf('a', result(right, right, freezeAdvised))?.winner, outcomeOf('a', result(right, right, freezeAdvised))?.verdict], ['neither', 'right']);
    assert.equal(outcomeOf('a', result(right, `${'1'.repeat(58)}${'0'.repeat(40)}11`, freezeAdvised))?.winner, 'neither');
    assert.equal(outcomeOf('a', result('1'.repeat(80) + '0'.repeat(20), right, freezeAdvised))?.verdict, 'right');
    assert.equal(outcomeOf('a', result(right, right, input(20000, 5000, 600, 1000, 1)))?.verdict, 'harmless');
  });

  test('the table of docs/advice.md is the one that bench/advice.json gives', () => {
    const [document, summary] = ['docs/advice.md', 'bench/advice.json'].map((file) => readFileSync(path.join(process.cwd(), file), 'utf8'));
    const parsed = v.parse(summarySchema, JSON.parse(summary!));
    assert.equal(withTable(document!, parsed), document);
    assert.deepEqual(parsed.recipes, EVALUATED_RECIPES, 'the default has changed: run npm run bench:advice anew');
  });

  test('the table says how many seeds a row holds', () => {
    const table = adviceTable({ machine: 'a machine', recipes: EVALUATED_RECIPES, cases: { one: result('1100', '1110', freezeAdvised) } });
    assert.match(table, /^\| one \| 300, 188 \| 1\.00 \| \.800 \| freeze, \w+ \| \.500 \| \.750 \| \+\.250 \[.*\] \| 2 \| neither \| right \|$/m);
    assert.match(table, /Of 1 cases the advice was right in 1, harmless in 0 and missed in 0\. In 1 the loser was within noise of the winner\. Who always chose freeze would have missed 0, who always chose finetune 0\./);
  });
});
