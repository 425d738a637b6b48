package vector

import "testing"

// disable takes the processor for one without the instructions.
func disable(t *testing.T) {
	fast = false
	t.Cleanup(func() { fast = true })
}
