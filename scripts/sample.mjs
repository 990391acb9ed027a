// Makes the sample dataset: emoji of six kinds, drawn by two vendors, in .sample/emoji/{train,val}/<kind>/.
// The pictures come from npm (dev dependencies emoji-datasource-google and -twitter): 64 px PNGs with alpha. Cartoons, not photographs.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { isMain, main, ROOT, step } from './steps.mjs';

/** Kind → which emoji, by the categories and subcategories of emoji.json. */
const KINDS = {
  // Animals' faces would be both, and so would ghosts and robots.
  animals: ({ subcategory, name }) => subcategory.startsWith('animal-') && !/\bFACE\b/.test(name),
  faces: ({ category, subcategory }) => category === 'Smileys & Emotion' && subcategory.startsWith('face-') && subcategory !== 'face-costume',
  flags: ({ subcategory }) => subcategory === 'country-flag',
  food: ({ subcategory }) => subcategory.startsWith('food-'),
  plants: ({ subcategory }) => subcategory.startsWith('plant-'),
  vehicles: ({ subcategory, short_name: name }) => /^transport-(ground|air|water)$/.test(subcategory) && !NO_VEHICLES.has(name),
};
/** Things of the transport categories that are no vehicles. */
const NO_VEHICLES = new Set([
  'busstop', 'motorway', 'railway_track', 'oil_drum', 'fuelpump', 'wheel', 'rotating_light', 'traffic_light', 'vertical_traffic_light',
  'octagonal_sign', 'satellite', 'construction', 'anchor', 'ring_buoy', 'seat', 'airplane_departure', 'airplane_arriving',
]);
const VENDORS = ['google', 'twitter'];
/** Two pictures each, so that no kind has more than 250; flags are easy, and many. */
const MOST_EMOJI = 125;
const MOST_FLAGS = 60;
const VALIDATION_SHARE = 0.2;

export const SAMPLE = path.join(ROOT, '.sample', 'emoji');

/** Makes the sample unless it is there already; returns its folder. The same packages give the same files and the same split. */
export function makeSample() {
  const stampFile = `${SAMPLE}.stamp`;
  const stamp = createHash('sha256').update(fs.readFileSync(path.join(ROOT, 'scripts', 'sample.mjs')))
    .update(JSON.stringify(VENDORS.map((vendor) => readPackage(vendor, 'package.json').version))).digest('hex');
  if (fs.existsSync(SAMPLE) && fs.existsSync(stampFile) && fs.readFileSync(stampFile, 'utf8') === stamp) return SAMPLE;

  const unfinished = `${SAMPLE}.unfinished`;
  fs.rmSync(unfinished, { recursive: true, force: true });
  fs.rmSync(stampFile, { force: true });
  const emoji = distinct(readPackage('google', 'emoji.json').filter(drawnByAll).sort((a, b) => (order(a) < order(b) ? -1 : 1)));
  for (const [kind, belongs] of Object.entries(KINDS)) {
    // Both drawings of an emoji go to the same side.
    const chosen = emoji.filter(belongs).slice(0, kind === 'flags' ? MOST_FLAGS : MOST_EMOJI);
    const validation = Math.round(VALIDATION_SHARE * chosen.length);
    for (const [index, { image, short_name: name }] of chosen.entries()) {
      const folder = path.join(unfinished, index < validation ? 'val' : 'train', kind);
      fs.mkdirSync(folder, { recursive: true });
      for (const vendor of VENDORS) fs.copyFileSync(picture(vendor, image), path.join(folder, `${name}-${vendor}.png`));
    }
  }
  fs.rmSync(SAMPLE, { recursive: true, force: true });
  fs.renameSync(unfinished, SAMPLE);
  fs.writeFileSync(stampFile, stamp);
  return SAMPLE;
}

/** Skin tones and genders are other entries' `skin_variations` or sequences; of those only the plain emoji is taken. */
function drawnByAll({ image, unified }) {
  return !unified.includes('200D') && VENDORS.every((vendor) => fs.existsSync(picture(vendor, image)));
}

/** Some flags are drawn alike: on both sides of the split they would be known already. The first stays. */
function distinct(emoji) {
  const seen = new Set();
  return emoji.filter(({ image }) => {
    const drawings = VENDORS.map((vendor) => createHash('sha256').update(fs.readFileSync(picture(vendor, image))).digest('hex'));
    if (drawings.some((drawing) => seen.has(drawing))) return false;
    for (const drawing of drawings) seen.add(drawing);
    return true;
  });
}

/** A hash of the code points: an arbitrary order that never changes. */
function order({ unified }) {
  return createHash('sha256').update(unified).digest('hex');
}

function picture(vendor, image) {
  return path.join(packageFolder(vendor), 'img', vendor, '64', image);
}

function readPackage(vendor, file) {
  return JSON.parse(fs.readFileSync(path.join(packageFolder(vendor), file), 'utf8'));
}

function packageFolder(vendor) {
  return path.join(ROOT, 'node_modules', `emoji-datasource-${vendor}`);
}

if (isMain(import.meta.url)) await main(() => step('Sample dataset', () => path.relative(ROOT, makeSample())));
