// Starts a study's process, which outlives whoever started it.
import path from 'node:path';
import { launchDetached, type LaunchOptions } from '../runs/launch.js';
import { isLiveState } from '../runs/liveness.js';
import { writeFileAtomic } from '../storage/atomicFile.js';
import { readStudyRecord, studyText } from './studyFolder.js';

/**
 * Starts or resumes the study of a folder and lets go of it.
 * @throws ThawError `trainer-not-started`, after the study was marked failed; `unsafe-path`
 */
export async function launchStudy(directory: string, within: string, options: Pick<LaunchOptions, 'trainerScript' | 'execPath' | 'electron' | 'environment'>): Promise<{ readonly pid: number }> {
  return launchDetached('study', path.resolve(directory), within, options, async ({ message, next }) => {
    const read = await readStudyRecord(directory, { within });
    if ('reason' in read || !isLiveState(read.state)) return;
    await writeFileAtomic(path.join(directory, 'study.json'), studyText({ ...read.record, state: 'failed', endedAt: new Date().toISOString(), failure: { code: 'trainer-not-started', message: message.slice(0, 4000), next } }));
  });
}
