//go:build !linux

package source

import (
	"errors"
	"os"
)

// growth is for Linux: elsewhere the watcher of nxadm/tail can only watch the
// path, and ends the process when that may no longer be looked at.
type growth struct{}

func newGrowth(*os.File) (*growth, error) { return nil, errors.ErrUnsupported }

func (*growth) stop() bool           { return true }
func (*growth) more() <-chan bool    { return nil }
func (*growth) emptied() <-chan bool { return nil }
func (*growth) gone() <-chan bool    { return nil }
