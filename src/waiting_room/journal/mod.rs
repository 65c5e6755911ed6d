//! What must survive `kill -9`: an append-only log of one room.
