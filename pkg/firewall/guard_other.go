//go:build unix && !linux

package firewall

import "io"

// guard refuses a second process that would own the same names in the firewall,
// whatever its state folder: the two would undo each other's work without end.
func guard(owner, command string) (io.Closer, error) {
	return lockFileNamed("/var/run/postmoat."+owner+".lock", command)
}
