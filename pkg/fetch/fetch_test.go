package fetch

import "testing"

// TestNoMemory: to ask for what is not there is no fault.
func TestNoMemory(t *testing.T) {
	Line(nil)
	Text(nil)
	Text([]byte{})
	b := []byte("text")
	Text(b[4:])
	if Text(b); string(b) != "text" {
		t.Errorf("asking has changed it: %q", b)
	}
}
