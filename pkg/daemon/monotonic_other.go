//go:build !linux

package daemon

import "time"

// monotonic has nobody to be compared with where there is no systemd.
func monotonic() time.Duration { return 0 }
