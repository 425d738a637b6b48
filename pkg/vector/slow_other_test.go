//go:build !amd64

package vector

import "testing"

func disable(*testing.T) {}
