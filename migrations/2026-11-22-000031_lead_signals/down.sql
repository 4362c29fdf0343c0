DROP TABLE lead_signals;
