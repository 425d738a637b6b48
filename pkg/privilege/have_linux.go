package privilege

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Have is the effective capabilities of the calling thread, in the order of
// their numbers. Root of a user namespace has those of its namespace.
func Have() ([]Cap, error) {
	effective, _, err := capget()
	return effective.list(), err
}

func permitted() (capSet, error) {
	_, permitted, err := capget()
	return permitted, err
}

func capget() (effective, permitted capSet, err error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, 0, fmt.Errorf("capget: %w", err)
	}
	for i, d := range data {
		effective |= capSet(d.Effective) << (32 * i)
		permitted |= capSet(d.Permitted) << (32 * i)
	}
	return effective, permitted, nil
}
