//go:build darwin || freebsd

package control

import "golang.org/x/sys/unix"

// solLocal is the level of LOCAL_PEERCRED, see unix(4).
const solLocal = 0

// peerOf asks the kernel who connected, as getpeereid(3) does.
func peerOf(fd int) (peer, error) {
	c, err := unix.GetsockoptXucred(fd, solLocal, unix.LOCAL_PEERCRED)
	if err != nil {
		return peer{}, err
	}
	return peer{uid: c.Uid, known: true}, nil
}
