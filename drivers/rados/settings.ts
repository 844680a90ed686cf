/** The settings of a pool on RADOS, and what of librados's own options follows from them. */
import { z } from 'zod';

const absolutePath = z.string().startsWith('/', 'must be an absolute path');

export const radosSettings = z.strictObject({
  conf: absolutePath.default('/etc/ceph/ceph.conf'),
  pool: z.string().min(1),
  user: z
    .string()
    .regex(/^client\../, 'must be a name like client.skerry')
    .default('client.admin'),
  keyring: absolutePath.optional(),
  namespace: z.string().min(1).optional(),
  'timeout-seconds': z
    .string()
    .regex(/^[1-9][0-9]{0,2}$/, 'must be a number of seconds from 1 to 999')
    .default('30')
    .transform(Number),
});

/** What a call waits for an OSD before it asks whether that is still the one. */
const map_age_seconds_max = 2;

export type RadosSettings = z.output<typeof radosSettings>;

export function clientOptions(settings: RadosSettings): readonly (readonly [name: string, value: string])[] {
  const seconds = settings['timeout-seconds'];
  return [
    // Without these a call would wait for ever for a cluster that is gone.
    ['client_mount_timeout', String(seconds)],
    ['rados_mon_op_timeout', String(seconds)],
    ['rados_osd_op_timeout', String(seconds)],
    // A client asks where its OSDs are now once it has waited this long for one of them. It waits for 10 s by default: where
    // calls end sooner it never asks, and goes on calling at the old address of an OSD that was started anew.
    ['objecter_timeout', String(Math.min(seconds / 4, map_age_seconds_max))],
    ['objecter_tick_interval', String(Math.min(seconds / 4, map_age_seconds_max) / 2)],
    // Beyond these librados blocks its caller, which is the one thread of JavaScript. How much is under way is bounded above.
    ['objecter_inflight_ops', '1000000'],
    ['objecter_inflight_op_bytes', String(2 ** 40)],
    // Failures are told to who called; a log can be had by `log file` in the configuration.
    ['log_to_stderr', 'false'],
    ['err_to_stderr', 'false'],
    ...(settings.keyring === undefined ? [] : ([['keyring', settings.keyring]] as const)),
  ];
}
