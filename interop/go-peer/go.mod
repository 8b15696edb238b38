module gapless.invalid/interop/peer

go 1.23
