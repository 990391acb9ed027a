// What each network's own head says of photographs and of noise: `node bench/advice.mjs --references` measures it and writes references.json.
import type { BackboneName } from '../protocol/run.js';
import type { ConfidenceReference } from './nearness.js';
import REFERENCES from './references.json';

interface StoredReference extends ConfidenceReference {
  readonly weightsSha256: string;
}

/** Of these very weights, if it was measured. */
export function confidenceReference(backbone: BackboneName, weightsSha256: string): ConfidenceReference | undefined {
  const stored: Readonly<Partial<Record<string, StoredReference>>> = REFERENCES.networks;
  const found = stored[backbone];
  return found?.weightsSha256 === weightsSha256 ? { photographs: found.photographs, noise: found.noise } : undefined;
}
