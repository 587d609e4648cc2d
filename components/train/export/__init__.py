"""The further forms of a model: TensorFlow Lite and ONNX, each checked against the SavedModel."""
