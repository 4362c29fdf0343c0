DROP INDEX opportunities_due_idx;
