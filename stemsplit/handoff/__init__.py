"""Project files for DAWs, each written from a session of aligned stems."""
