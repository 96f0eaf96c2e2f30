/** For how long a number set by hand may hold, in seconds; null: until it is taken back. PURE. */
export const HOLDS = { halfHour: 1800, twoHours: 7200, day: 86_400, open: null } as const;

export type Hold = keyof typeof HOLDS;
