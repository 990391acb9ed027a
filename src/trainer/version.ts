import { version } from '../../package.json';

export const THAW_VERSION: string = version;
