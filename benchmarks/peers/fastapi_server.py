"""What a good engineer writes in an hour: FastAPI around a SavedModel. Arguments: model, port."""

import base64
import sys

import fastapi
import pydantic
import tensorflow as tf
import uvicorn

signature = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
app = fastapi.FastAPI()


class Instance(pydantic.BaseModel):
    """A photograph."""

    b64: str


class Instances(pydantic.BaseModel):
    """A request."""

    instances: list[Instance]


@app.get("/v2/health/ready")
def ready() -> dict[str, bool]:
    """Whether the model serves."""
    return {"ready": True}


@app.post("/v1/models/model:predict")
def predict(body: Instances) -> dict[str, list[dict[str, object]]]:
    """Labels and probabilities."""
    images = [base64.b64decode(instance.b64) for instance in body.instances]
    outputs = signature(image_bytes=tf.constant(images))
    label, probabilities = outputs["label"].numpy(), outputs["probabilities"].numpy().tolist()
    return {
        "predictions": [
            {"label": name.decode(), "probabilities": each}
            for name, each in zip(label, probabilities, strict=True)
        ]
    }


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
