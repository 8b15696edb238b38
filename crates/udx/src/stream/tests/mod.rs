//! What the two halves are held to: models, small worlds tried out whole, and bounds.
