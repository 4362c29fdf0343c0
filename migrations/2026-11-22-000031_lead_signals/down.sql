DROP TABLE lead_confirmations;
DROP TABLE lead_signals;
