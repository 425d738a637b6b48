package control

import "golang.org/x/sys/unix"

// peerOf asks the kernel who connected.
func peerOf(fd int) (peer, error) {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return peer{}, err
	}
	return peer{uid: c.Uid, pid: c.Pid, known: true}, nil
}
