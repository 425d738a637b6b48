//go:build !race

package pftest

import "os"

// executable is what plays pfctl: the test binary itself.
func executable() (string, error) { return os.Executable() }
