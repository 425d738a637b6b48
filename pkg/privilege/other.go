//go:build !linux

package privilege

import "errors"

// Drop says that there are no capabilities here (errors.ErrUnsupported).
func Drop(Options) (Report, error) {
	return Report{}, &Error{Op: "start", Err: errors.ErrUnsupported,
		Hint: "This system has no capabilities: the firewall belongs to root, so let the daemon run as root."}
}

// Have says the same.
func Have() ([]Cap, error) { return nil, errors.ErrUnsupported }
