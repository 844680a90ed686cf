/** How facts are written for people. Exact numbers are what --json is for, and stand beside the readable ones where one thing is shown. */
import type { ResourceView } from '../api/shapes.js';
import { formatSize } from '../core/sizes.js';

/** `20G (21474836480 bytes)`. */
export function exactSize(bytes: number): string {
  return `${formatSize(bytes)} (${bytes} bytes)`;
}

/** `2026-11-21 14:03` in the time zone of the reader. */
export function when(time: string): string {
  const at = new Date(time);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** `3 d 4 h`, `2 min 5 s`, `0.8 s`. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

/** `37%`, rounded down: what is said to be full is; of nothing `0%`. */
export function percent(part: number, whole: number): string {
  return `${whole === 0 ? 0 : Math.floor((part / whole) * 100)}%`;
}

/** `1 volume`, `3 volumes`. */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

export function attachment(resource: ResourceView): string {
  if (resource.unavailable !== null) return 'unavailable';
  return resource.attachedConnections === 0 ? '-' : counted(resource.attachedConnections, 'connection');
}
