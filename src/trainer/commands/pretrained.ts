// The options --backbone, --weights and --colour: what a run starts from, and what it sees.
import { findOwnWeights } from '../../network/weights/cache.js';
import { ThawError } from '../../protocol/errors.js';
import { BACKBONES, COLOURS, DEFAULT_BACKBONE, OWN_WEIGHTS, type BackboneName, type Colour } from '../../protocol/run.js';
import type { Pretrained } from '../backbone.js';

/**
 * `--weights` names a backbone, for its published weights, or a person's own, which say themselves whose they are.
 * @throws ThawError `bad-arguments` for a name that isn't there, or a backbone that isn't the weights'
 */
export function pretrainedOf({ backbone, weights }: { readonly backbone?: string | undefined; readonly weights?: string | undefined }): Pretrained {
  const asked = backbone === undefined ? undefined : backboneOf(backbone, '--backbone');
  if (weights === undefined) return { backbone: asked ?? DEFAULT_BACKBONE };
  const pretrained = OWN_WEIGHTS.test(weights) ? ownOf(weights) : { backbone: backboneOf(weights, '--weights') };
  if (asked !== undefined && asked !== pretrained.backbone) {
    throw new ThawError('input', 'bad-arguments', `--weights ${weights} are of ${pretrained.backbone}, not of ${asked}`, 'Leave --backbone out: the weights say it');
  }
  return pretrained;
}

function ownOf(name: string): Pretrained {
  const found = findOwnWeights(name);
  if (found === undefined) {
    throw new ThawError('input', 'bad-arguments', `There are no weights called ${JSON.stringify(name)} on this machine, or their file has changed`, 'See `thaw weights list`; `thaw weights add FILE` adds some');
  }
  return { backbone: found.own.backbone, weights: name };
}

/** @throws ThawError `bad-arguments` */
export function colourOf(text: string): Colour {
  const colour = COLOURS.find((known) => known === text);
  if (colour === undefined) throw new ThawError('input', 'bad-arguments', `--colour ${JSON.stringify(text)} is unknown`, `Use --colour ${COLOURS.join(' or --colour ')}`);
  return colour;
}

function backboneOf(name: string, option: string): BackboneName {
  const found = BACKBONES.find((known) => known === name);
  if (found === undefined) throw new ThawError('input', 'bad-arguments', `${option} ${JSON.stringify(name)} is unknown`, `Use one of: ${BACKBONES.join(', ')}${option === '--weights' ? ', or one of your own; see `thaw weights list`' : ''}`);
  return found;
}
