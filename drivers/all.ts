/** Every driver there is. The one file that names them. */
import type { DriverRegistry } from '../src/driver/registry.js';
import { glusterDriver } from './gluster/driver.js';
import { localDriver } from './local/driver.js';
import { memoryDriver } from './memory/driver.js';

export const allDrivers: DriverRegistry = [localDriver, memoryDriver, glusterDriver];
