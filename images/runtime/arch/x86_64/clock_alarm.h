/* Between the interrupt entry and the clock. */
#ifndef CLOCK_ALARM_H
#define CLOCK_ALARM_H

/* The alarm's interrupt has arrived. */
void clock_alarm_rang(void);

#endif
