/**
 * Places where the process may be told to die (native/env/failpoints.h has the table): what TypeScript passes of them. SKERRY_FAILPOINT
 * is of the process, and so is what is kept here.
 */
import { toSkerryError } from '../core/errors.js';
import type { NativeModule } from './binding.js';

export type Failpoint =
  | 'root-chunk-put'
  | 'root-committed'
  | 'snapshot-barrier-durable'
  | 'rollback-recorded'
  | 'gone-kept'
  | 'log-chunk-put'
  | 'log-restored'
  | 'log-begun'
  | 'move-step'
  | 'move-carried'
  | 'move-roots-put'
  | 'move-committed'
  | 'move-log-known'
  | 'replica-step';

let armed: { readonly name: string; readonly module: NativeModule } | null = null;

/** `text`: NAME:N, the Nth time that the process comes to NAME. @throws SkerryError invalid, with the names that there are. */
export function armFailpoint(module: NativeModule, text: string): void {
  try {
    module.armFailpoint(text);
  } catch (error) {
    throw toSkerryError(error);
  }
  armed = { name: text.slice(0, text.indexOf(':')), module };
}

/** The process is at this place. It may not come back. */
export function passFailpoint(name: Failpoint): void {
  if (armed?.name === name) armed.module.passFailpoint(name);
}
