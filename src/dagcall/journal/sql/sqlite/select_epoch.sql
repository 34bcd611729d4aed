SELECT epoch, pid FROM meta
