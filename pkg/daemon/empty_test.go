package daemon_test

import (
	"slices"
	"testing"
)

// TestEmptyLogAtStop holds that a log from which no line ever came is read from
// its first line at the next start, and no line of it twice at the one after.
func TestEmptyLogAtStop(t *testing.T) {
	folder := t.TempDir()
	h := startHost(t, folder, nil)
	h.stop()
	h = startHost(t, folder, nil)
	h.stop()
	h.log = create(t, folder+"/mail.log") // while it is down
	h.reject("203.0.113.5", 10)
	h.reject("203.0.113.6", 9)
	h = startHost(t, folder, nil)
	if got := h.banned(); !slices.Contains(got, "203.0.113.5/32") {
		t.Errorf("the firewall holds %v: what was written while the daemon was down is lost", got)
	}
	h.stop()
	h = startHost(t, folder, nil)
	if got := h.banned(); slices.Contains(got, "203.0.113.6/32") {
		t.Errorf("the firewall holds %v: lines have been counted twice", got)
	}
}
