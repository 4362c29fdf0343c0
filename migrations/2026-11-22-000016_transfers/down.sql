DROP TABLE transfer_chunks;
DROP TABLE transfer_files;
